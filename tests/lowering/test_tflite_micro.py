"""The integers of TFLite Micro: one operator at a time, and the whole networks of MLPerf Tiny."""

import numpy as np
import pytest

from openwork.frontends import load_model
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.backends.cpu.programs import run_everywhere
from tests.frontends.test_tflite import INT8, file_of, input_for
from tests.frontends.test_tflite_operators import CASES, HALF, arrays_for, build, shapes_and_range
from tests.frontends.tflite_files import File, MicroPeer, Operator, Peer

# Operators whose every integer is TFLite Micro's.
EXACT = (
    "ABS", "ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "ELU",
    "FULLY_CONNECTED", "HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "MEAN", "PAD", "QUANTIZE", "RELU",
    "RESHAPE", "RESIZE_BILINEAR", "SOFTMAX", "SPLIT", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
)  # fmt: skip
# Operators that compute in float32 here, in fixed point there: within one step.
NEAR = ("RSQRT",)
RUNS = [
    (case, dtype)
    for case in CASES
    for dtype in case.dtypes
    if (case.operator in EXACT and dtype in ("int8", "int16")) or (case.operator in NEAR and dtype == "int8")
]


def lowered(path):
    model = load_model(path)
    canonicalise(model)
    return model, lower(model)


@pytest.mark.parametrize(("case", "dtype"), RUNS, ids=[f"{case.operator}-{dtype}" for case, dtype in RUNS])
def test_an_operator(tmp_path, case, dtype):
    file = build(case, dtype, *shapes_and_range(case))
    path = tmp_path / "model.tflite"
    path.write_bytes(file.content())
    peer, (_, program) = MicroPeer(file.content()), lowered(path)
    for _ in range(5):
        arrays = arrays_for(file, case)
        results = interpreter.run(program, dict(zip(program.inputs, arrays, strict=True)))
        for ours, theirs in zip(results.values(), peer.run(arrays), strict=True):
            away = np.abs(ours.astype(int) - theirs.astype(int))
            assert away.max() <= (0 if case.operator in EXACT else 1)


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("peer", [Peer, MicroPeer])
def test_floats_halfway_between_integers(tmp_path, peer, dtype):
    """The interpreter and the compiled library round away from zero, as both of TensorFlow Lite's."""
    random, limits = np.random.default_rng(4), np.iinfo(dtype)
    halves = (np.arange(limits.min - 3, limits.max + 3) + 0.5).astype(np.float32)
    for scale, zero in ((0.5, 0), (0.25, 0 if dtype == "int16" else -7), (0.0137, 0 if dtype == "int16" else 90)):
        ties = random.permutation(halves)[:200] * np.float32(scale)
        x = np.stack([ties, random.normal(0, 60 * scale, 200)]).astype(np.float32)
        file = File()
        file.inputs = [file.add("x", x.shape, "float32")]
        file.outputs = [file.add("y", x.shape, dtype, None, [scale], [zero])]
        file.operators = [Operator("QUANTIZE", file.inputs, file.outputs, "QuantizeOptions", {})]
        (expected,) = peer(file.content()).run([x])
        assert_everywhere(tmp_path / "model.tflite", file.content(), x, expected, ["Quantize"])


@pytest.mark.parametrize("option", [{}, {"AlignCorners": True}, {"HalfPixelCenters": True}], ids=str)
def test_bilinear_images(tmp_path, option):
    """Enlarged and made smaller by whole and odd factors; halves among the results."""
    random = np.random.default_rng(6)
    sizes = [(14, 12), (21, 18), (9, 13), (3, 2), (1, 40), (7, 11), (28, 6)]
    for number, size in enumerate(sizes):
        x = random.integers(-128, 128, (1, 7, 6, (1, 5, 8)[number % 3])).astype(np.int8)
        file = File()
        file.inputs = [file.add("x", x.shape, "int8", None, [0.1], [3])]
        file.outputs = [file.add("y", (1, *size, x.shape[3]), "int8", None, [0.1], [3])]
        target = file.add("size", (2,), "int32", np.int32(size))
        inputs = [*file.inputs, target]
        file.operators = [Operator("RESIZE_BILINEAR", inputs, file.outputs, "ResizeBilinearOptions", option)]
        (expected,) = MicroPeer(file.content()).run([x])
        np.testing.assert_array_equal(Peer(file.content()).run([x])[0], expected)
        assert_everywhere(tmp_path / "model.tflite", file.content(), x, expected, ["FixedResize"], compiled=number < 4)


def assert_everywhere(path, content, x, expected, steps, *, compiled=True):
    """The interpreter and the library on every instruction set, of a network of these steps and such that move."""
    path.write_bytes(content)
    _, program = lowered(path)
    assert [kind for kind in (type(step).__name__ for step in program.steps) if kind != "Transpose"] == steps
    (source,), (target,) = program.inputs, program.outputs
    np.testing.assert_array_equal(interpreter.run(program, {source: x})[target], expected)
    for isa, outputs in run_everywhere(program, {source: x}) if compiled else ():
        np.testing.assert_array_equal(outputs[target], expected, err_msg=isa)


BYTES = np.arange(-128, 128).astype(np.int8).reshape(1, 256)

# Functions of one byte, with their options and, where it is prescribed, the output's scale and zero point.
FUNCTIONS = {
    "ABS": ("", (), None),
    "ELU": ("", (), None),
    "HARD_SWISH": ("HardSwishOptions", (), None),
    "LEAKY_RELU": ("LeakyReluOptions", ("Alpha",), None),
    "LOGISTIC": ("", (), HALF),
    "RELU": ("", (), None),
    "TANH": ("", (), (1 / 128, 0)),
}


def of_bytes(operator, x, y, kind="", options=None, more=()):
    """A file of one operator on all bytes, which x and y code by scale and zero point."""
    file = File()
    file.inputs = [file.add("x", BYTES.shape, "int8", None, [x[0]], [x[1]])]
    others = [file.add("more", array.shape, "int8", array, [x[0]], [x[1]]) for array in more]
    file.outputs = [file.add("y", BYTES.shape, "int8", None, [y[0]], [y[1]])]
    file.operators = [Operator(operator, [*file.inputs, *others], file.outputs, kind, options or {})]
    return file.content()


def assert_equal(path, content, peer):
    path.write_bytes(content)
    _, program = lowered(path)
    (expected,) = peer(content).run([BYTES])
    result = interpreter.run(program, {program.inputs[0]: BYTES})[program.outputs[0]]
    np.testing.assert_array_equal(result, expected)
    return expected


@pytest.mark.parametrize("operator", FUNCTIONS)
@pytest.mark.parametrize("halves", [False, True], ids=["scales", "ties"])
def test_a_function_of_every_byte(tmp_path, operator, halves):
    """Scales that are powers of two apart make results that lie halfway between integers."""
    random = np.random.default_rng(3)
    kind, names, prescribed = FUNCTIONS[operator]
    for _ in range(25):
        scale = 2.0 ** random.integers(-6, 1) if halves else float(np.float32(10 ** random.uniform(-3, 0)))
        larger = 2.0 ** random.integers(0, 3) if halves else random.uniform(0.3, 3)
        x = (scale, int(random.integers(-128, 128)))
        y = prescribed or (float(np.float32(scale * larger)), int(random.integers(-128, 128)))
        options = {name: 0.25 if halves else float(random.uniform(0.01, 1.5)) for name in names}
        assert_equal(tmp_path / "model.tflite", of_bytes(operator, x, y, kind, options), MicroPeer)


@pytest.mark.parametrize(
    ("activation", "scale", "bound"), [(3, 12.0, 1), (3, 2.4, 3), (2, 2.0, 1)], ids=["6 / 12", "6 / 2.4", "1 / 2"]
)
def test_bounds_halfway_between_integers(tmp_path, activation, scale, bound):
    """RELU6 is activation 3, RELU_N1_TO_1 is 2: its bounds are rounded away from zero, fused or alone."""
    alone = of_bytes({2: "RELU_N1_TO_1", 3: "RELU6"}[activation], (scale, 0), (scale, 0))
    zeros, options = np.zeros_like(BYTES), {"FusedActivationFunction": activation}
    behind_a_sum = of_bytes("ADD", (1.0, 0), (scale, 0), "AddOptions", options, [zeros])
    for content, peer in ((alone, Peer), (behind_a_sum, Peer), (behind_a_sum, MicroPeer)):
        expected = assert_equal(tmp_path / "model.tflite", content, peer)
        assert (expected.min(), expected.max()) == (-bound if activation == 2 else 0, bound)


def inputs_for(model):
    """Noise over the whole range, and images that are nearly constant, so that not every output is saturated."""
    for seed in range(4):
        noise = input_for(model, seed)
        yield noise
        yield (noise // 2 ** (seed + 1) + 20 * seed).astype(np.int8)


@pytest.mark.parametrize("name", INT8)
def test_a_network_of_mlperf_tiny(name):
    """The interpreter and the compiled library, on every instruction set: each bit is TFLite Micro's."""
    path = file_of(name)
    peer, (model, program) = MicroPeer(path.read_bytes()), lowered(path)
    assert program.notes == ()
    (source,), (target,) = program.inputs, program.outputs
    seen = set()
    for x in inputs_for(model):
        (expected,) = peer.run([x])
        np.testing.assert_array_equal(interpreter.run(program, {source: x})[target], expected)
        seen |= {*expected.ravel().tolist()}
    assert len(seen) > 4, "outputs that are all saturated say nothing"
    for isa, outputs in run_everywhere(program, {source: x}):
        np.testing.assert_array_equal(outputs[target], expected, err_msg=isa)


@pytest.mark.parametrize(
    ("shape", "count", "axis", "zeros"), [((4,), 4, 3, 4), ((4,), 1, 0, 0), ((1, 1, 1, 4), 4, 0, 4), ((4,), 4, 3, 0)]
)
def test_a_bias_may_have_any_scales(tmp_path, shape, count, axis, zeros):
    """As old converters wrote them: along the axis of the weights, as in the person detector of TFLite Micro."""
    rng, file = np.random.default_rng(0), File()
    x = file.add("x", (1, 6, 6, 4), "int8", None, [0.1], [3])
    scales = [0.01, 0.02, 0.015, 0.005]
    kernel = rng.integers(-127, 128, (1, 3, 3, 4)).astype(np.int8)
    weight = file.add("w", kernel.shape, "int8", kernel, scales, [0] * 4, 3)
    products = [0.1 * scale for scale in scales]
    numbers = rng.integers(-900, 900, shape).astype(np.int32)
    bias = file.add("b", shape, "int32", numbers, products[:count], [0] * zeros, axis)
    y = file.add("y", (1, 4, 4, 4), "int8", None, [0.2], [-5])
    options = {"Padding": 1, "StrideW": 1, "StrideH": 1, "DepthMultiplier": 1}
    options |= {"DilationWFactor": 1, "DilationHFactor": 1}
    file.operators = [Operator("DEPTHWISE_CONV_2D", [x, weight, bias], [y], "DepthwiseConv2DOptions", options)]
    file.inputs, file.outputs = [x], [y]
    path, x = tmp_path / "model.tflite", rng.integers(-128, 128, (1, 6, 6, 4)).astype(np.int8)
    path.write_bytes(file.content())
    _, program = lowered(path)
    (expected,) = MicroPeer(file.content()).run([x])
    np.testing.assert_array_equal(interpreter.run(program, {program.inputs[0]: x})[program.outputs[0]], expected)
