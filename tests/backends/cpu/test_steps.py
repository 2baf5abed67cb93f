"""Every step through generated code, against the interpreter, on every instruction set."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openwork.backends.cpu.kernels import KERNELS
from openwork.backends.cpu.steps import make_plan
from openwork.lowering import (
    Add,
    AddScales,
    AveragePool,
    Bounds,
    Buffer,
    Clip,
    Concat,
    Conv,
    Dequantize,
    FullyConnected,
    MaxPool,
    Mean,
    Program,
    Quantize,
    Rescale,
    Reshape,
    Softmax,
    Transpose,
    interpreter,
)
from tests.backends.cpu.fixed_point import every_fixed_kind
from tests.backends.cpu.moving import every_moving_kind
from tests.backends.cpu.programs import (
    check_everywhere,
    conv_program,
    out_size,
    random_activation,
    random_scale,
    random_sparse,
    run_everywhere,
)
from tests.backends.cpu.resizing import every_resizing_kind
from tests.backends.cpu.test_elementwise import every_kind as every_elementwise
from tests.backends.cpu.test_matrix import every_product
from tests.backends.cpu.test_reducing import every_reduction

DTYPES = ("float32", "uint8", "int8")
some = settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
dtypes = st.sampled_from(DTYPES)
seeds = st.integers(0, 2**32 - 1)


def dim(low, high):
    return st.integers(low, high)


def zero_of(rng, dtype):
    limits = np.iinfo(dtype)
    return int(rng.integers(limits.min, limits.max + 1))


def scale_for(rng, dtype, channels=1, accumulator=100):
    return None if dtype == "float32" else random_scale(rng, channels, dtype, accumulator)


@st.composite
def convolutions(draw):
    """Keyword arguments of conv_program: odd sizes, strides over kernels, padding, dilation, groups."""
    kernel = draw(st.tuples(dim(1, 4), dim(1, 4)))
    dilations = draw(st.tuples(dim(1, 2), dim(1, 2)))
    pads = draw(st.tuples(*(dim(0, 3) for _ in range(4))))
    reach = [dilations[i] * (kernel[i] - 1) + 1 for i in (0, 1)]
    size = tuple(draw(dim(max(1, reach[i] - pads[i] - pads[i + 2]), 19)) for i in (0, 1))
    return {
        "dtype": draw(dtypes),
        "batch": draw(dim(1, 2)),
        "groups": draw(st.sampled_from([1, 1, 2, 5])),
        "per_group": draw(dim(1, 9)),
        "outs": draw(dim(1, 9)),
        "size": size,
        "kernel": kernel,
        "strides": draw(st.tuples(dim(1, 3), dim(1, 3))),
        "pads": pads,
        "dilations": dilations,
        "density": draw(st.sampled_from([0.0, 0.1, 0.5, 1.0])),
        "bias": draw(st.booleans()),
    }


@pytest.mark.parametrize(("density", "rows"), [(0.03, 1), (0.2, 2), (0.5, 4)])
def test_sums_of_the_largest_products_do_not_saturate(density, rows):
    """Pairs of products beyond 16 bits, at their limits and within them, one channel beside another."""
    rng = np.random.default_rng(0)
    program = conv_program(rng, dtype="uint8", per_group=64, outs=8, density=density)
    signs = program.constants["w"] != 0
    extremes = rng.choice([-128, -127, -65, -64, -1, 1, 63, 64, 65, 127], signs.shape)
    program = replace(program, constants=program.constants | {"w": (extremes * signs).astype(np.int8)})
    assert f"u8_conv_rows{rows}" in {call.kernel for call in make_plan(program, 1).calls}
    inputs = {"x": 255 * rng.integers(0, 2, program.buffers["x"].shape).astype(np.uint8)}
    expected = interpreter.run(program, inputs)["y"]
    for isa, outputs in run_everywhere(program, inputs):
        np.testing.assert_array_equal(outputs["y"], expected, err_msg=isa)


@settings(some, max_examples=40)
@given(seeds, convolutions())
def test_convolution(seed, arguments):
    rng = np.random.default_rng(seed)
    check_everywhere(conv_program(rng, **arguments), rng)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"size": (20, 20), "kernel": (3, 3), "per_group": 8, "outs": 9},
        {"size": (37, 29), "kernel": (1, 1), "pads": (0, 0, 0, 0), "per_group": 17, "outs": 18},
        {"size": (30, 30), "kernel": (3, 3), "groups": 13, "per_group": 1, "outs": 1},
        {"size": (41, 41), "kernel": (7, 7), "pads": (3, 3, 3, 3), "strides": (2, 2), "density": 1.0},
        {"size": (7, 7), "kernel": (7, 7), "pads": (0, 0, 0, 0), "density": 1.0},
    ],
    ids=["same", "pointwise", "depthwise", "stem", "whole image"],
)
def test_convolutions_of_several_tiles(dtype, arguments):
    rng = np.random.default_rng(0)
    check_everywhere(conv_program(rng, dtype=dtype, **arguments), rng)


@some
@given(seeds, dtypes, st.booleans())
def test_convolution_with_residual(seed, dtype, bounded):
    rng = np.random.default_rng(seed)
    program = conv_program(rng, dtype=dtype, outs=5, size=(9, 11))
    conv = program.steps[0]
    shape = program.buffers["y"].shape
    limits = None if dtype == "float32" else np.iinfo(dtype)
    scales = None
    if limits is not None:
        scales = AddScales(
            (0.6, 1.3),
            (zero_of(rng, dtype), zero_of(rng, dtype)),
            zero_of(rng, dtype),
            limits.min,
            limits.max,
            int(rng.integers(2)),
        )
    bounds = Bounds(0) if bounded and dtype == "float32" else Bounds()
    add = Add("add", ("middle", "r"), "y", bounds, scales)
    fused = Conv(**{**vars(conv), "residual": add})
    buffers = {**program.buffers, "r": Buffer(shape, dtype)}
    check_everywhere(Program(("x", "r"), ("y",), buffers, program.constants, (fused,)), rng)


@some
@given(seeds, dtypes, dim(1, 3), dim(1, 700), dim(1, 20), st.sampled_from([0.0, 0.01, 0.2, 1.0]), st.booleans())
def test_fully_connected(seed, dtype, rows, inputs, outputs, density, bias):
    rng = np.random.default_rng(seed)
    integer = dtype != "float32"
    constants = {"w": random_sparse(rng, (outputs, inputs), density, "int8" if integer else "float32")}
    if bias:
        b = rng.integers(-1000, 1000, outputs) if integer else rng.standard_normal(outputs)
        constants["b"] = b.astype(np.int32 if integer else np.float32)
    step = FullyConnected(
        "fc", "x", "y", "w", "b" if bias else None,
        Bounds() if integer else Bounds(-0.5, 6),
        zero_of(rng, dtype) if integer else 0,
        scale_for(rng, dtype, outputs, 5000 * inputs**0.5),
    )  # fmt: skip
    buffers = {"x": Buffer((rows, inputs), dtype), "y": Buffer((rows, outputs), dtype)}
    check_everywhere(Program(("x",), ("y",), buffers, constants, (step,)), rng)


@some
@given(seeds, dtypes, dim(1, 9), dim(2, 19), dim(1, 3), dim(1, 3), st.tuples(*(dim(0, 1) for _ in range(4))))
def test_max_pool(seed, dtype, channels, size, kernel, stride, pads):
    rng = np.random.default_rng(seed)
    pads = tuple(min(pad, kernel - 1) for pad in pads)
    out = [out_size(size + 1 * axis, kernel, stride, pads[axis], pads[axis + 2], 1) for axis in (0, 1)]
    if min(out) < 1:
        return
    step = MaxPool("pool", "x", "y", (kernel, kernel), (stride, stride), pads, (1, 1))
    buffers = {"x": Buffer((2, channels, size, size + 1), dtype), "y": Buffer((2, channels, *out), dtype)}
    check_everywhere(Program(("x",), ("y",), buffers, {}, (step,)), rng)


@some
@given(
    seeds,
    dtypes,
    dim(1, 9),
    dim(3, 19),
    dim(1, 3),
    dim(1, 3),
    st.tuples(*(dim(0, 1) for _ in range(4))),
    st.booleans(),
)
def test_average_pool(seed, dtype, channels, size, kernel, stride, pads, count_pads):
    rng = np.random.default_rng(seed)
    pads = tuple(min(pad, kernel - 1) for pad in pads)
    out = [out_size(size + 1 * axis, kernel, stride, pads[axis], pads[axis + 2], 1) for axis in (0, 1)]
    integer = dtype != "float32"
    step = AveragePool(
        "pool", "x", "y", (kernel, kernel), (stride, stride), pads, (1, 1), pads if count_pads else (0, 0, 0, 0),
        zero_of(rng, dtype) if integer else 0, scale_for(rng, dtype),
    )  # fmt: skip
    buffers = {"x": Buffer((2, channels, size, size + 1), dtype), "y": Buffer((2, channels, *out), dtype)}
    check_everywhere(Program(("x",), ("y",), buffers, {}, (step,)), rng)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [(5, 8), (9,)])
def test_the_average_of_a_whole_image_is_a_mean(dtype, size):
    """Whatever the strides, there is one window; a phase for each of its pixels would be slow."""
    rng = np.random.default_rng(1)
    ones, none = (1,) * len(size), (0, 0) * len(size)
    zero = zero_of(rng, dtype) if dtype != "float32" else 0
    step = AveragePool("pool", "x", "y", size, size, none, ones, none, zero, scale_for(rng, dtype))
    buffers = {"x": Buffer((2, 6, *size), dtype), "y": Buffer((2, 6, *ones), dtype)}
    program = Program(("x",), ("y",), buffers, {}, (step,))
    assert not any("pool" in call.kernel for call in make_plan(program, 2).calls)
    check_everywhere(program, rng)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axes", [(2, 3), (1,), (0, 2), (3,)])
@pytest.mark.parametrize("after_conv", [False, True], ids=["plain", "planar"])
def test_mean(dtype, axes, after_conv):
    rng = np.random.default_rng(1)
    program = conv_program(rng, dtype=dtype, batch=2, outs=6, size=(5, 8))
    source = "y" if after_conv else "x"
    shape = program.buffers[source].shape
    integer = dtype != "float32"
    mean = Mean("mean", source, "z", axes, zero_of(rng, dtype) if integer else 0, scale_for(rng, dtype))
    kept = tuple(size for axis, size in enumerate(shape) if axis not in axes)
    buffers = {**program.buffers, "z": Buffer(kept, dtype)}
    steps = (*program.steps, mean) if after_conv else (mean,)
    check_everywhere(Program(("x",), ("z",), buffers, program.constants, steps), rng)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shapes", [((2, 3, 5), (2, 3, 5)), ((2, 3, 5), (3, 1)), ((4,), (2, 3, 4)), ((1, 1), (6, 1))])
def test_add(dtype, shapes):
    rng = np.random.default_rng(2)
    out = np.broadcast_shapes(*shapes)
    scales = None
    if dtype != "float32":
        limits = np.iinfo(dtype)
        scales = AddScales((0.7, 0.9), (zero_of(rng, dtype), 3), 5, limits.min, limits.max, int(rng.integers(2)))
    add = Add("add", ("a", "b"), "y", Bounds(-1, 1) if scales is None else Bounds(), scales)
    buffers = {"a": Buffer(shapes[0], dtype), "b": Buffer(shapes[1], dtype), "y": Buffer(out, dtype)}
    check_everywhere(Program(("a", "b"), ("y",), buffers, {}, (add,)), rng)
    constant = random_activation(rng, buffers["b"])
    check_everywhere(Program(("a",), ("y",), buffers, {"b": constant}, (add,)), rng)


@pytest.mark.parametrize("dtype", DTYPES)
def test_planar_chain(dtype):
    """Convolution, add, rescale or clip, concat, pooling and convolution without leaving the planes."""
    rng = np.random.default_rng(3)
    integer = dtype != "float32"
    program = conv_program(rng, dtype=dtype, outs=8, size=(9, 9))
    shape = program.buffers["y"].shape
    limits = np.iinfo(dtype) if integer else None
    zero = program.steps[0].requantize.zero_point if integer else 0
    scales = AddScales((0.5, 0.5), (zero, zero), zero, limits.min, limits.max) if integer else None
    if integer:
        middle = Rescale("r", "sum", "r", zero, random_scale(rng, 1, dtype, 128))
        after = middle.requantize.zero_point
    else:
        middle, after = Clip("r", "sum", "r", Bounds(-1, 2)), 0
    last = conv_program(rng, dtype=dtype, per_group=16, outs=3, size=(5, 5)).steps[0]
    last = Conv(**{**vars(last), "name": "last", "input": "p", "output": "z", "weight": "w2", "bias": None})
    steps = (
        *program.steps,
        Add("add", ("y", "y"), "sum", Bounds(), scales),
        middle,
        Concat("concat", ("r", "y"), "c", 1),
        MaxPool("pool", "c", "p", (3, 3), (2, 2), (1, 1, 1, 1), (1, 1)),
        Conv(**{**vars(last), "input_zero_point": after}),
    )
    buffers = {
        **program.buffers,
        "sum": Buffer(shape, dtype),
        "r": Buffer(shape, dtype),
        "c": Buffer((1, 16, 9, 9), dtype),
        "p": Buffer((1, 16, 5, 5), dtype),
        "z": Buffer((1, 3, 5, 5), dtype),
    }
    constants = {
        **program.constants,
        "w2": random_sparse(rng, (3, 16, 3, 3), 0.5, "int8" if integer else "float32"),
    }
    check_everywhere(Program(("x",), ("z", "p"), buffers, constants, steps), rng)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_reader_with_another_zero_point_gets_its_own_padding(dtype):
    """The graph may dequantize a tensor with other parameters than it was quantized with."""
    rng = np.random.default_rng(4)
    first = conv_program(rng, dtype=dtype, outs=4)
    second = conv_program(rng, dtype=dtype, per_group=4).steps[0]
    second = Conv(**{**vars(second), "name": "two", "input": "y", "output": "z", "weight": "w2", "bias": None})
    assert second.input_zero_point != first.steps[0].requantize.zero_point
    buffers = {**first.buffers, "z": Buffer((1, 2, 6, 7), dtype)}
    constants = {**first.constants, "w2": random_sparse(rng, (2, 4, 3, 3), 0.5, "int8")}
    check_everywhere(Program(("x",), ("z",), buffers, constants, (*first.steps, second)), rng)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 3])
def test_concat(dtype, axis):
    rng = np.random.default_rng(5)
    shapes = [[2, 3, 4, 5] for _ in range(3)]
    for extra, shape in enumerate(shapes):
        shape[axis] += extra
    buffers = {f"x{i}": Buffer(tuple(shape), dtype) for i, shape in enumerate(shapes)}
    out = [2, 3, 4, 5]
    out[axis] = sum(shape[axis] for shape in shapes)
    step = Concat("concat", tuple(buffers), "y", axis)
    check_everywhere(Program(tuple(buffers), ("y",), {**buffers, "y": Buffer(tuple(out), dtype)}, {}, (step,)), rng)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("perm", [(0, 1, 2, 3), (0, 2, 3, 1), (3, 1, 0, 2)])
def test_transpose_and_reshape(dtype, perm):
    rng = np.random.default_rng(6)
    shape = (2, 3, 4, 5)
    buffers = {
        "x": Buffer(shape, dtype),
        "t": Buffer(tuple(shape[axis] for axis in perm), dtype),
        "y": Buffer((6, 20), dtype),
    }
    steps = (Transpose("t", "x", "t", perm), Reshape("r", "t", "y"))
    check_everywhere(Program(("x",), ("t", "y"), buffers, {}, steps), rng)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_quantize_and_dequantize(dtype):
    rng = np.random.default_rng(7)
    buffers = {
        "x": Buffer((3, 1000), "float32"),
        "q": Buffer((3, 1000), dtype),
        "y": Buffer((3, 1000), "float32"),
    }
    zero = zero_of(rng, dtype)
    steps = (Quantize("q", "x", "q", 0.01, zero), Dequantize("d", "q", "y", 0.01, zero))
    program = Program(("x",), ("q", "y"), buffers, {}, steps)
    check_everywhere(program, rng)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
def test_what_is_not_a_number_becomes_the_lowest_integer(dtype):
    buffers = {"x": Buffer((40,), "float32"), "q": Buffer((40,), dtype)}
    program = Program(("x",), ("q",), buffers, {}, (Quantize("q", "x", "q", 0.01, 3),))
    inputs = {"x": np.tile(np.array([np.nan, np.inf, -np.inf, 0], np.float32), 10)}
    limits = np.iinfo(dtype)
    expected = [limits.min, limits.max, limits.min, 3] * 10
    assert interpreter.run(program, inputs)["q"].tolist() == expected
    for isa, outputs in run_everywhere(program, inputs):
        assert outputs["q"].tolist() == expected, isa


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_softmax(axis):
    shape = (3, 4, 5)
    buffers = {"x": Buffer(shape, "float32"), "y": Buffer(shape, "float32")}
    program = Program(("x",), ("y",), buffers, {}, (Softmax("softmax", "x", "y", axis),))
    check_everywhere(program, np.random.default_rng(8))


@pytest.mark.parametrize("residual", [False, True])
def test_nan_is_not_swallowed(residual):
    """One NaN pixel spoils what it reaches, through bounds, pooling and classifier, as in the interpreter."""
    rng = np.random.default_rng(12)
    program = conv_program(rng, dtype="float32", outs=4, size=(8, 8), density=1.0)
    conv = Conv(**{**vars(program.steps[0]), "bounds": Bounds(0, 6)})
    if residual:
        conv = Conv(**{**vars(conv), "residual": Add("add", ("t", "y0"), "y", Bounds(0))})
    pool = MaxPool("p", "y", "p", (2, 2), (2, 2), (0, 0, 0, 0), (1, 1))
    classify = FullyConnected("fc", "f", "z", "w2", None, Bounds(0))
    shapes = {"y0": (1, 4, 8, 8), "y": (1, 4, 8, 8), "p": (1, 4, 4, 4), "f": (1, 64), "z": (1, 3)}
    buffers = {"x": program.buffers["x"]} | {name: Buffer(shape, "float32") for name, shape in shapes.items()}
    constants = {**program.constants, "w2": random_sparse(rng, (3, 64), 1.0, "float32")}
    inputs = ("x", "y0") if residual else ("x",)
    whole = Program(inputs, ("p", "z"), buffers, constants, (conv, pool, Reshape("r", "p", "f"), classify))
    values = {name: random_activation(rng, buffers[name]) for name in inputs}
    values["x"][0, 1, 3, 3] = np.nan
    expected = interpreter.run(whole, values)
    assert np.isnan(expected["p"]).any() and np.isnan(expected["z"]).all()
    for isa, outputs in run_everywhere(whole, values):
        for name in ("p", "z"):
            np.testing.assert_array_equal(np.isnan(outputs[name]), np.isnan(expected[name]), err_msg=isa)


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_dimensional_convolution(dtype):
    rng = np.random.default_rng(9)
    program = conv_program(rng, dtype=dtype, size=(1, 20), kernel=(1, 3), pads=(0, 2, 0, 1), strides=(1, 2), outs=3)
    flat = {name: Buffer((b.shape[0], b.shape[1], b.shape[3]), b.dtype) for name, b in program.buffers.items()}
    constants = {**program.constants, "w": program.constants["w"][:, :, 0]}
    step = Conv(**{**vars(program.steps[0]), "strides": (2,), "pads": (2, 1), "dilations": (1,)})
    check_everywhere(Program(("x",), ("y",), flat, constants, (step,)), rng)


def test_largest_accumulators_do_not_saturate():
    """The worst a pair sum can be, which vpmaddubsw would saturate: all 255 times all 127 or -127."""
    rng = np.random.default_rng(10)
    program = conv_program(rng, dtype="uint8", per_group=8, outs=4, density=1.0)
    constants = {**program.constants, "w": np.full_like(program.constants["w"], 127)}
    constants["w"][1::2] = -127
    check_everywhere(Program(program.inputs, program.outputs, program.buffers, constants, program.steps), rng)
    step = Conv(**{**vars(program.steps[0]), "input_zero_point": 0})
    worst = Program(program.inputs, program.outputs, program.buffers, constants, (step,))
    check_everywhere(worst, type("Ones", (), {"integers": lambda *_: np.full(worst.buffers["x"].shape, 255)})())


@pytest.mark.parametrize(
    ("dtype", "kernel", "density", "rows"),
    [
        *(("float32", kernel, density, rows) for kernel in (1, 3) for density, rows in ((1.0, 4), (0.2, 1))),
        *(("uint8", kernel, density, rows) for kernel in (1, 3) for density, rows in ((1.0, 4), (0.02, 1))),
        ("uint8", 1, 0.2, 1),
        ("uint8", 3, 0.2, 2),
    ],
)
def test_the_sparser_a_convolution_the_fewer_rows_share_a_list(dtype, kernel, density, rows):
    rng = np.random.default_rng(0)
    pads = (kernel // 2,) * 4
    program = conv_program(rng, dtype=dtype, per_group=64, outs=64, kernel=(kernel, kernel), pads=pads, density=density)
    [name] = {call.kernel for call in make_plan(program, 2).calls if "conv" in call.kernel}
    assert name.endswith(f"rows{rows}")


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_inputs_are_gathered_where_few_have_weights(dtype):
    rng = np.random.default_rng(0)

    def kernels(density):
        weight = random_sparse(rng, (128, 640), density, "int8" if dtype == "uint8" else "float32")
        step = FullyConnected("fc", "x", "y", "w", None, requantize=scale_for(rng, dtype, 128, 9000))
        buffers = {"x": Buffer((1, 640), dtype), "y": Buffer((1, 128), dtype)}
        return {call.kernel for call in make_plan(Program(("x",), ("y",), buffers, {"w": weight}, (step,)), 2).calls}

    kind = "u8" if dtype == "uint8" else "f32"
    assert f"{kind}_fully_connected_dense" in kernels(0.2)
    assert f"{kind}_fully_connected_sparse" in kernels(0.02)


def every_kind(rng):
    """Programs that together call every kernel."""
    yield from every_product(rng)
    yield from every_reduction(rng)
    yield from every_elementwise(rng)
    for dtype in DTYPES:
        integer = dtype != "float32"
        for density in (0.1, 1.0):
            yield conv_program(rng, dtype=dtype, outs=4, density=density, strides=(2, 2))
            weight = random_sparse(rng, (5, 700), density**2, "int8" if integer else "float32")
            step = FullyConnected("fc", "x", "y", "w", None, Bounds(), 0, scale_for(rng, dtype, 5, 9000))
            buffers = {"x": Buffer((2, 700), dtype), "y": Buffer((2, 5), dtype)}
            yield Program(("x",), ("y",), buffers, {"w": weight}, (step,))
        window = ((2, 2), (2, 2), (0, 0, 0, 0))
        image, pooled = Buffer((1, 3, 8, 8), dtype), Buffer((1, 3, 4, 4), dtype)
        means = {"m": Buffer((1, 3), dtype), "n": Buffer((1, 8, 8), dtype)}
        steps = (
            MaxPool("p", "x", "p", *window, (1, 1)),
            AveragePool("q", "x", "q", *window, (1, 1), (0, 0, 0, 0), requantize=scale_for(rng, dtype)),
            Mean("m", "p", "m", (2, 3), requantize=scale_for(rng, dtype)),
            Mean("n", "x", "n", (1,), requantize=scale_for(rng, dtype)),
        )
        yield Program(("x",), ("q", "m", "n"), {"x": image, "p": pooled, "q": pooled, **means}, {}, steps)
        same = Buffer((2, 6), dtype)
        if integer:
            scales = AddScales((0.5, 0.5), (1, 2), 3, *((0, 255) if dtype == "uint8" else (-128, 127)))
            add, lone = Add("a", ("x", "c"), "a", requantize=scales), Rescale("l", "a", "l", 1, scale_for(rng, dtype))
        else:
            add, lone = Add("a", ("x", "c"), "a"), Clip("l", "a", "l", Bounds(0, 1))
        constant = {"c": random_activation(rng, same)}
        buffers = dict.fromkeys(("x", "a", "l"), same) | {"t": Buffer((6, 2), dtype)}
        yield Program(("x",), ("t",), buffers, constant, (add, lone, Transpose("t", "l", "t", (1, 0))))
    real = {name: Buffer((2, 6), "float32") for name in ("x", "d", "y")} | {"q": Buffer((2, 6), "uint8")}
    steps = (Quantize("q", "x", "q", 0.1, 3), Dequantize("d", "q", "d", 0.1, 3), Softmax("s", "d", "y", 1))
    yield Program(("x",), ("y",), real, {}, steps)
    yield from every_fixed_kind(rng)
    yield from every_moving_kind(rng)
    yield from every_resizing_kind(rng)


def test_every_kernel_of_the_list_is_tested():
    """Listed means tested: these programs call each kernel, and each agrees with the interpreter."""
    rng = np.random.default_rng(11)
    called = set()
    for program in every_kind(rng):
        called |= {call.kernel for call in make_plan(program, 2).calls}
        check_everywhere(program, rng)
    assert called == {kernel.name for kernel in KERNELS}
