"""Softmax and normalizations between 8-bit integers, against onnxruntime and against the true values."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.graph import evaluate
from openwork.lowering import Buffer, IntegerNormalize, Program, interpreter, lower
from openwork.lowering.draft import Draft
from openwork.lowering.integers.normalizing import normalized
from openwork.lowering.integers.site import WIDEST, Coding, Site, StaysFloat
from openwork.lowering.integers.softmax import softmax
from openwork.lowering.steps import Normalize, Softmax
from openwork.passes import canonicalise
from tests.lowering.test_integers import X_SCALE, assert_within_one_step, integer_input, kinds
from tests.models import Writer, random_inputs

DTYPES = ["uint8", "int8"]
some = settings(max_examples=60, deadline=None)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_softmax(dtype: str, axis: int) -> None:
    writer = Writer()
    x = writer.op("Softmax", integer_input(writer, (30, 40, 50), dtype), axis=axis)
    y = writer.quantize(x, 1 / 512, 0 if dtype == "uint8" else -128, dtype, name="y")
    assert_within_one_step(writer, y, ["IntegerSoftmax"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_of_floats_that_a_mask_was_added_to(axis: int, dtype: str) -> None:
    """Rows and columns that are hidden entirely among them, where all that is hidden shares equally."""
    writer = Writer()
    scores = integer_input(writer, (40, 50), dtype)
    mask = np.where(writer.rng.random((40, 50)) < 0.3, np.finfo(np.float32).min, 0).astype(np.float32)
    mask[3], mask[:, 7] = np.finfo(np.float32).min, np.finfo(np.float32).min
    shares = writer.op("Softmax", writer.op("Add", scores, writer.constant(mask)), axis=axis)
    y = writer.quantize(shares, 1 / 256, 0 if dtype == "uint8" else -128, dtype, name="y")
    assert_within_one_step(writer, y, ["Dequantize", "Add", "QuantizedSoftmax"])


NORMALIZATIONS: dict[str, tuple[str, dict[str, Any], tuple[int, ...]]] = {
    "layer": ("LayerNormalization", {}, (12,)),
    "layer, two axes": ("LayerNormalization", {"axis": -2, "epsilon": 0.1}, (11, 12)),
    "layer, all axes": ("LayerNormalization", {"axis": 0}, (40, 11, 12)),
    "instance": ("InstanceNormalization", {}, (11,)),
    "root mean square": ("RMSNormalization", {}, (12,)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", NORMALIZATIONS)
def test_normalizations(kind: str, dtype: str) -> None:
    operator, attributes, shape = NORMALIZATIONS[kind]
    writer = Writer(opset=23 if operator == "RMSNormalization" else 20)
    operands = [writer.constant(writer.normal(*shape))]
    operands += [] if operator == "RMSNormalization" else [writer.constant(writer.normal(*shape))]
    y = writer.op(operator, integer_input(writer, (40, 11, 12), dtype), *operands, **attributes)
    y = writer.quantize(y, 0.021, 100 if dtype == "uint8" else -20, dtype, name="y")
    assert_within_one_step(writer, y, ["IntegerNormalize"])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [3, 8, 12, 96, 200])
@pytest.mark.parametrize("operator", ["LayerNormalization", "RMSNormalization"])
def test_layers_are_onnxruntimes_integers(operator: str, count: int, dtype: str) -> None:
    """All bits, whatever the scales: it adds and multiplies in the same order."""
    for seed in range(4):
        writer = Writer(seed, opset=23)
        zeros = writer.rng.integers(0, 100, 2).tolist()
        x = writer.dequantize(writer.input("x", (1000, count), dtype), writer.rng.uniform(0.01, 0.1), zeros[0], dtype)
        operands = [writer.constant(writer.normal(count)) for _ in range(1 + (operator == "LayerNormalization"))]
        y = writer.quantize(
            writer.op(operator, x, *operands), writer.rng.uniform(0.01, 0.03), zeros[1], dtype, name="y"
        )
        model = writer.model(y)
        inputs = random_inputs(model)
        expected = evaluate(model, inputs)[y]
        canonicalise(model)
        program = lower(model)
        assert kinds(program) == ["IntegerNormalize"]
        np.testing.assert_array_equal(interpreter.run(program, inputs)[y], expected)


def test_a_normalization_without_scale_and_bias() -> None:
    writer = Writer()
    y = writer.op("MeanVarianceNormalization", integer_input(writer, (2, 3, 20, 20)), axes=[0, 2, 3])
    assert_within_one_step(writer, writer.quantize(y, 0.02, 128, name="y"), ["IntegerNormalize"])


def test_a_clip_behind_becomes_bounds() -> None:
    writer = Writer()
    x = writer.op("LayerNormalization", integer_input(writer, (40, 50)), writer.constant(writer.normal(50)))
    y = writer.quantize(writer.op("Relu", x), 0.011, 30, name="y")
    program = assert_within_one_step(writer, y, ["IntegerNormalize"])
    [step] = program.steps
    assert isinstance(step, IntegerNormalize) and step.low == 30


def test_what_stays_float_says_why() -> None:
    writer = Writer(opset=21)
    logarithm = writer.quantize(writer.op("LogSoftmax", integer_input(writer, (4, 50))), X_SCALE, 255)
    x = writer.dequantize(writer.input("w", (4, 50), "int16"), X_SCALE, 0, "int16")
    wide = writer.quantize(writer.op("Softmax", x), 1 / 256)
    model = writer.model(logarithm, wide)
    canonicalise(model)
    program = lower(model)
    assert kinds(program) == ["Dequantize", "Softmax", "Quantize"] * 2
    assert [note.partition("float32: ")[2] for note in program.notes] == [
        "it has no integer form",
        "it has no integer form but for 8 bits",
    ]


def test_a_scale_that_is_computed_keeps_a_normalization_float() -> None:
    writer = Writer()
    y = writer.op("LayerNormalization", integer_input(writer, (4, 50)), writer.input("s", (50,)))
    model = writer.model(writer.quantize(y, X_SCALE, 128))
    canonicalise(model)
    assert kinds(lower(model)) == ["Dequantize", "Normalize", "Quantize"]


# ---- against the true values, at every scale ----


def coding(draw: Any, scale: Any) -> Coding:
    dtype = draw(st.sampled_from(DTYPES))
    limits = np.iinfo(dtype)
    zero = draw(st.integers(int(limits.min), int(limits.max)))
    return Coding(float(np.float32(draw(scale))), zero, dtype, int(limits.min), int(limits.max))


def in_integers(
    step: Softmax | Normalize, x: Coding, y: Coding, shape: tuple[int, ...], integers: Any, constants: Any
) -> Any:
    """What the integer form of a step computes from integers coded as `x` for an output coded as `y`."""
    draft = Draft(("x",), ("y",), 20, constants=dict(constants))
    draft.buffers |= {"x": Buffer(shape, x.dtype), "y": Buffer(shape, y.dtype)}
    site = Site(step, "float32", WIDEST, (("x", x),), ("y", y))
    new = softmax(step, site, draft) if isinstance(step, Softmax) else normalized(step, site, draft)
    program = Program(("x",), ("y",), draft.buffers, draft.constants, (new,))
    return interpreter.run(program, {"x": integers})["y"].astype(np.float64)


def assert_nearest(result: Any, true: Any, y: Coding, slack: Any) -> None:
    """Every integer is the nearest to the true value in units of the scale, but for `slack` steps at ties."""
    wanted = np.clip(true / y.scale + y.zero_point, y.low, y.high)
    assert (np.abs(result - wanted) <= 0.5 + slack).all()


@st.composite
def softmaxes(draw: Any) -> Any:
    x = coding(draw, st.floats(1e-4, 10))
    y = coding(draw, st.sampled_from([1 / 256, 1 / 255, 1 / 127, 1 / 300]))
    return x, y, draw(st.sampled_from([1, 2, 3, 50, 200, 3000])), draw(st.integers(0, 2**32 - 1))


@some
@given(softmaxes())
def test_softmax_is_rounded_to_the_nearest(drawn: Any) -> None:
    x, y, count, seed = drawn
    rng = np.random.default_rng(seed)
    integers = np.clip(rng.normal(rng.integers(x.low, x.high), 60, (20, count)), x.low, x.high).astype(x.dtype)
    result = in_integers(Softmax("s", "x", "y", 1), x, y, integers.shape, integers, {})
    powers = np.exp((integers.astype(np.float64) - integers.max(1, keepdims=True)) * x.scale)
    assert_nearest(result, powers / powers.sum(1, keepdims=True), y, 1e-4 + count / 2**22)


@some
@given(softmaxes(), st.floats(1e-3, 1e4))
def test_softmax_of_floats_is_rounded_to_the_nearest(drawn: Any, spread: float) -> None:
    _, y, count, seed = drawn
    x = (np.random.default_rng(seed).standard_normal((20, count)) * spread).astype(np.float32)
    draft = Draft(("x",), ("y",), 20)
    step = softmax(Softmax("s", "x", "y", 1), Site(Softmax("s", "x", "y", 1), "float32", WIDEST, (), ("y", y)), draft)
    buffers = {"x": Buffer(x.shape, "float32"), "y": Buffer(x.shape, y.dtype)}
    result = interpreter.run(Program(("x",), ("y",), buffers, {}, (step,)), {"x": x})["y"]
    powers = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    assert_nearest(result.astype(np.float64), powers / powers.sum(1, keepdims=True), y, 1e-4 + count / 2**20)


@st.composite
def normalizations(draw: Any) -> Any:
    x, y = coding(draw, st.floats(1e-4, 10)), coding(draw, st.floats(1e-3, 0.1))
    count, spread = draw(st.sampled_from([1, 2, 7, 64, 3000])), draw(st.sampled_from([0, 1, 60]))
    return x, y, count, spread, draw(st.booleans()), draw(st.integers(0, 2**32 - 1))


@some
@given(normalizations())
def test_normalization_is_rounded_to_the_nearest(drawn: Any) -> None:
    """Also of equal integers, whose variance is 0."""
    x, y, count, spread, centred, seed = drawn
    rng = np.random.default_rng(seed)
    integers = np.clip(rng.normal(rng.integers(x.low, x.high), spread, (20, count)), x.low, x.high).astype(x.dtype)
    constants = {"s": rng.standard_normal(count, np.float32), "b": rng.standard_normal(count, np.float32)}
    step = Normalize("n", "x", "y", (1,), 1e-5, "s", "b", centred)
    result = in_integers(step, x, y, integers.shape, integers, constants)
    real = (integers.astype(np.float64) - x.zero_point) * x.scale
    mean = real.mean(1, keepdims=True) if centred else 0
    real -= mean
    deviation = np.sqrt(np.square(real).mean(1, keepdims=True) + 1e-5)
    scaled = real / deviation * constants["s"]
    cancelled = np.abs(mean / deviation * constants["s"])  # the last bits of large numbers that lie close together
    slack = 2.0**-21 * (1 + (np.abs(scaled) * (1 + count / 64) + cancelled / 4 + np.abs(constants["b"])) / y.scale)
    assert_nearest(result, scaled + constants["b"], y, slack)


@pytest.mark.parametrize(
    ("step", "scales", "size", "reason"),
    [
        (Softmax("s", "x", "y", 0), (0.1, 1e-30), 4, "its output scale does not fit float32"),
        (Normalize("n", "x", "y", (0,), 1e-5, None, None), (0.1, 0.1), 2**21 + 1, "it sums more than"),
        (Normalize("n", "x", "y", (0,), 0.0, None, None), (0.1, 0.1), 4, "its epsilon"),
        (Normalize("n", "x", "y", (0,), 1e-5, None, None), (0.1, 1e-40), 4, "its epsilon, scale or bias"),
    ],
)
def test_what_has_no_proof_stays_float(
    step: Softmax | Normalize, scales: tuple[float, float], size: int, reason: str
) -> None:
    x, y = (Coding(scale, 128, "uint8", 0, 255) for scale in scales)
    with pytest.raises(StaysFloat, match=reason):
        in_integers(step, x, y, (size,), np.zeros(size, np.uint8), {})


@pytest.mark.parametrize("operator", ["Softmax", "MeanVarianceNormalization"])
def test_the_longest_sums_are_exact(operator: str) -> None:
    """Half of the integers at either end: the largest spread that there is."""
    x, y = Coding(0.01, 0, "uint8", 0, 255), Coding(1 / 128, 128, "uint8", 0, 255)
    integers = np.resize(np.array([0, 255], np.uint8), 180_000)
    if operator == "Softmax":
        result = in_integers(Softmax("s", "x", "y", 0), x, y, integers.shape, integers, {})
        assert (result == 128).all()
    else:
        step = Normalize("n", "x", "y", (0,), 1e-18, None, None)
        result = in_integers(step, x, y, integers.shape, integers, {})
        np.testing.assert_array_equal(np.unique(result), [0, 255])
