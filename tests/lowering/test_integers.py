"""Which steps run on integers, and that they compute what onnxruntime computes from the same graph."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from openwork.graph import evaluate
from openwork.lowering import Clip, Conv, FullyConnected, Program, interpreter, lower
from openwork.lowering.integers import largest_accumulator
from openwork.passes import canonicalise
from tests.models import Writer, conv_net, mobile_net, quantized, random_inputs, residual_net

X_SCALE, X_ZERO = 0.02, 128

# Writes one layer behind the tensor of that name.
Layer = Callable[[Writer, str], str]


def integer_input(writer: Writer, shape: tuple[int, ...], dtype: str = "uint8", name: str = "x") -> str:
    return writer.dequantize(writer.input(name, shape, dtype), X_SCALE, X_ZERO if dtype == "uint8" else 0, dtype)


def int8_weight(writer: Writer, *shape: int, axis: int = 0, scale: float = 0.005) -> tuple[str, Any]:
    """A constant behind a DequantizeLinear with one scale per channel, and its scales."""
    integers = writer.rng.integers(-127, 128, shape).astype(np.int8)
    scales = (writer.rng.uniform(0.5, 1, shape[axis]) * scale).astype(np.float32)
    return writer.quantized_constant(integers, scales, axis=axis), scales


def conv_layer(writer: Writer, x: str, *, bias: str = "exact", group: int = 1, channels: int = 16) -> str:
    weight, scales = int8_weight(writer, 16, channels // group, 3, 3)
    operands = [weight]
    integers = writer.rng.integers(-5000, 5000, 16).astype(np.int32)
    if bias == "exact":
        operands.append(writer.quantized_constant(integers, np.float32(X_SCALE) * scales))
    elif bias == "other scale":
        operands.append(writer.quantized_constant(integers, np.float32(0.0001)))
    elif bias == "float":
        operands.append(writer.constant(writer.normal(16, scale=0.3)))
    return writer.op("Conv", x, *operands, pads=[1, 1, 1, 1], group=group)


def conv_1d_layer(writer: Writer, x: str) -> str:
    flat = writer.requantized(writer.op("Reshape", x, writer.constant(np.array([1, 16, -1]))), X_SCALE, X_ZERO)
    return writer.op("Conv", flat, int8_weight(writer, 8, 16, 5)[0], strides=[2], dilations=[2])


def matrix_layer(writer: Writer, x: str, operator: str, **attributes: int) -> str:
    flat = writer.requantized(writer.op("Reshape", x, writer.constant(np.array([-1, 32]))), X_SCALE, X_ZERO)
    transposed = bool(attributes.get("transB"))
    shape, axis = ((24, 32), 0) if transposed else ((32, 24), 1)
    return writer.op(operator, flat, int8_weight(writer, *shape, axis=axis)[0], **attributes)


def add_layer(writer: Writer, x: str) -> str:
    other = writer.requantized(writer.op("Relu", x), 0.011, 3)
    return writer.op("Relu", writer.op("Add", x, other))


def pool_layer(writer: Writer, x: str, operator: str, **attributes: int) -> str:
    return writer.op(operator, x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], **attributes)


def concat_layer(writer: Writer, x: str) -> str:
    return writer.op("Concat", x, writer.requantized(writer.op("Relu", x), 0.011, 3), axis=1)


LAYERS: dict[str, tuple[Layer, list[str]]] = {
    "conv": (conv_layer, ["Conv"]),
    "conv without bias": (lambda w, x: conv_layer(w, x, bias="none"), ["Conv"]),
    "conv, bias of another scale": (lambda w, x: conv_layer(w, x, bias="other scale"), ["Conv"]),
    "conv, float bias": (lambda w, x: conv_layer(w, x, bias="float"), ["Conv"]),
    "conv in groups": (lambda w, x: conv_layer(w, x, group=4), ["Conv"]),
    "depthwise": (lambda w, x: conv_layer(w, x, group=16), ["Conv"]),
    "conv and relu": (lambda w, x: w.op("Relu", conv_layer(w, x)), ["Conv"]),
    "conv 1-D": (conv_1d_layer, ["Reshape", "Conv"]),
    "gemm": (lambda w, x: matrix_layer(w, x, "Gemm"), ["Reshape", "FullyConnected"]),
    "gemm, transB": (lambda w, x: matrix_layer(w, x, "Gemm", transB=1), ["Reshape", "FullyConnected"]),
    "matmul": (lambda w, x: matrix_layer(w, x, "MatMul"), ["Reshape", "FullyConnected"]),
    "add": (add_layer, ["Rescale", "Add"]),
    "relu": (lambda w, x: w.op("Relu", x), ["Rescale"]),
    "mean": (lambda w, x: w.op("ReduceMean", x, w.constant(np.array([3]))), ["Mean"]),
    "average pool": (lambda w, x: pool_layer(w, x, "AveragePool"), ["AveragePool"]),
    "average pool with padding": (
        lambda w, x: pool_layer(w, x, "AveragePool", count_include_pad=1),
        ["AveragePool"],
    ),
    "max pool": (lambda w, x: pool_layer(w, x, "MaxPool"), ["MaxPool", "Rescale"]),
    "max pool and relu": (
        lambda w, x: w.op("Relu", pool_layer(w, x, "MaxPool")),
        ["MaxPool", "Rescale"],
    ),
    "transpose": (lambda w, x: w.op("Transpose", x, perm=[0, 2, 3, 1]), ["Transpose", "Rescale"]),
    "concat": (concat_layer, ["Rescale", "Rescale", "Rescale", "Concat"]),
}


def kinds(program: Program) -> list[str]:
    return [type(step).__name__ for step in program.steps]


def assert_within_one_step(writer: Writer, y: str, expected_kinds: list[str]) -> Program:
    """Under 0.1 % of the output's integers differ from onnxruntime's, and those by one."""
    model = writer.model(y)
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)[y]
    canonicalise(model)
    program = lower(model)
    assert kinds(program) == expected_kinds
    result = interpreter.run(program, inputs)[y]
    assert result.dtype == expected.dtype
    assert len(np.unique(expected)) > 10, "the test says nothing about an output that is nearly constant"
    difference = np.abs(result.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert np.count_nonzero(difference) <= 0.001 * difference.size
    return program


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("layer", LAYERS)
def test_a_single_layer_agrees_with_onnxruntime(layer: str, dtype: str) -> None:
    write, expected_kinds = LAYERS[layer]
    writer = Writer()
    x = integer_input(writer, (1, 16, 32, 32))
    y = writer.quantize(write(writer, x), 0.01317, 100 if dtype == "uint8" else -20, dtype, name="y")
    assert_within_one_step(writer, y, expected_kinds)


@pytest.mark.parametrize("layer", ["max pool", "transpose"])
def test_moved_integers_of_equal_coding_are_not_rescaled(layer: str) -> None:
    write, expected_kinds = LAYERS[layer]
    writer = Writer()
    x = integer_input(writer, (1, 4, 8, 8))
    y = writer.quantize(write(writer, x), X_SCALE, X_ZERO, name="y")
    assert_within_one_step(writer, y, expected_kinds[:1])


@pytest.mark.parametrize("make", [conv_net, residual_net, mobile_net])
def test_quantized_networks_agree_with_onnxruntime(make: Callable[[], Any]) -> None:
    model = quantized(make())
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"].ravel()
    canonicalise(model)
    program = lower(model)
    convolutions = [step for step in program.steps if isinstance(step, Conv | FullyConnected)]
    assert all(step.requantize is not None for step in convolutions)
    result = interpreter.run(program, inputs)["y"].ravel()
    distance = 1 - result @ expected / (np.linalg.norm(result) * np.linalg.norm(expected))
    assert distance < 1e-3


def test_integer_weights_and_biases_are_taken_over_as_they_are() -> None:
    writer = Writer()
    x = integer_input(writer, (1, 16, 8, 8))
    program = assert_within_one_step(writer, writer.quantize(conv_layer(writer, x), 0.05, 9), ["Conv"])
    [step] = program.steps
    assert isinstance(step, Conv) and step.bias is not None
    dtypes = [program.constants[name].dtype.name for name in (step.weight, step.bias)]
    assert dtypes == ["int8", "int32"]
    assert not any("/" in name for name in program.constants), "nothing was derived"


def test_an_activation_is_folded_into_the_bounds() -> None:
    writer = Writer()
    x = integer_input(writer, (1, 16, 8, 8))
    limits = (writer.constant(np.float32(0)), writer.constant(np.float32(6)))
    y = writer.quantize(writer.op("Clip", conv_layer(writer, x), *limits), 0.05, 9)
    [step] = assert_within_one_step(writer, y, ["Conv"]).steps
    assert isinstance(step, Conv) and step.requantize is not None
    assert (step.requantize.low, step.requantize.high) == (9, 129)


def test_a_clip_up_to_the_largest_float_is_an_integer_relu() -> None:
    """Some exporters write Relu so; dividing that bound by a scale overflows, and warnings are errors here."""
    writer = Writer()
    x = integer_input(writer, (1, 16, 32, 32))
    bounds = writer.constant(np.float32(0)), writer.constant(np.finfo(np.float32).max)
    y = writer.quantize(writer.op("Clip", x, *bounds), 0.01317)
    program = assert_within_one_step(writer, y, ["Rescale"])
    (step,) = program.steps
    assert step.requantize.high == 255


def lowered_layer(write: Layer) -> tuple[list[str], Any, Any]:
    """Integer input -> layer -> quantized output: kinds of its steps, model, and program."""
    writer = Writer()
    y = writer.quantize(write(writer, integer_input(writer, (1, 16, 8, 8))), 0.05, 9, name="y")
    model = writer.model(y)
    canonicalise(model)
    program = lower(model)
    return kinds(program), model, program


def island_kinds(write: Layer) -> list[str]:
    """Kinds of the steps of integer input -> layer -> quantized output; agrees with onnxruntime."""
    steps, model, program = lowered_layer(write)
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"].astype(int)
    assert np.abs(interpreter.run(program, inputs)["y"] - expected).max() <= 1
    return steps


def conv_with_weight(integers: Any, zero_point: Any) -> Layer:
    def write(writer: Writer, x: str) -> str:
        return writer.op("Conv", x, writer.quantized_constant(integers, np.float32(0.004), zero_point))

    return write


FLOAT = ["Dequantize", "Conv", "Quantize"]


def test_weights_that_are_not_symmetric_int8_make_an_island_of_floats() -> None:
    weight = np.random.default_rng(0).integers(0, 127, (4, 16, 1, 1))
    assert island_kinds(conv_with_weight(weight.astype(np.int8), 0)) == ["Conv"]
    assert island_kinds(conv_with_weight(weight.astype(np.int8), 3)) == FLOAT
    assert island_kinds(conv_with_weight(weight.astype(np.uint8), 0)) == FLOAT


def test_why_a_quantized_layer_computes_in_float_is_noted() -> None:
    weight = np.ones((4, 16, 1, 1), np.uint8)
    _, _, program = lowered_layer(conv_with_weight(weight, 0))
    (note,) = program.notes
    assert re.fullmatch(r"Conv '.*' computes in float32: its weight is not symmetric int4, int8 or int16", note)
    _, _, program = lowered_layer(conv_with_weight(weight.astype(np.int8), 0))
    assert program.notes == ()


def test_float_weights_make_an_island_of_floats() -> None:
    assert island_kinds(lambda w, x: w.conv(x, 16, 4, 3)) == FLOAT


def test_weights_quantized_along_the_inputs_make_an_island_of_floats() -> None:
    steps, _, _ = lowered_layer(lambda w, x: w.op("Conv", x, int8_weight(w, 4, 16, 1, 1, axis=1)[0]))
    assert steps == FLOAT


def conv_with_bias(bias: float) -> Layer:
    def write(writer: Writer, x: str) -> str:
        weight, _ = int8_weight(writer, 4, 16, 1, 1, scale=1e-4)
        return writer.op("Conv", x, weight, writer.constant(np.full(4, bias, np.float32)))

    return write


def test_an_accumulator_that_could_overflow_is_widened() -> None:
    # An int32 reaches reals up to 2^31 * 0.02 * 0.5e-4 = 2147 at least, and up to 4295 at most.
    for bias, accumulator in ((2000, "int32"), (4400, "int64")):
        _, model, program = lowered_layer(conv_with_bias(bias))
        [step] = program.steps
        assert isinstance(step, Conv) and step.accumulator == accumulator
        assert (interpreter.run(program, random_inputs(model))["y"] == 255).all()


def test_the_largest_accumulator_is_reached_by_the_worst_input() -> None:
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, (5, 3, 2)).astype(np.int8)
    bias = rng.integers(-1000, 1000, 5).astype(np.int32)
    worst = np.sign(weight.astype(int)) * 130
    sums = np.abs((worst * weight).sum((1, 2))) + np.abs(bias)
    assert largest_accumulator(weight, 130, bias) == sums.max()
    assert largest_accumulator(np.full((1, 131_072), -128, np.int8), 128) == 2**31


def test_a_result_that_is_read_twice_stays_float() -> None:
    writer = Writer()
    y = conv_layer(writer, integer_input(writer, (1, 16, 4, 4)))
    program = lower(writer.model(writer.quantize(y, 0.05, 9), writer.quantize(y, 0.1, 3)))
    assert kinds(program) == ["Dequantize", "Conv", "Quantize", "Quantize"]


def test_a_result_that_is_an_output_stays_float() -> None:
    writer = Writer()
    y = conv_layer(writer, integer_input(writer, (1, 16, 4, 4)))
    assert kinds(lower(writer.model(writer.quantize(y, 0.05, 9), y))) == FLOAT


def test_islands_of_both_kinds_stand_side_by_side() -> None:
    """int8 conv -> float logarithm of softmax -> int8 conv, and the first result is read by a float operator too."""
    writer = Writer()
    x = integer_input(writer, (1, 16, 8, 8))
    first = writer.requantized(conv_layer(writer, x), 0.05, 120)
    soft = writer.requantized(writer.op("LogSoftmax", first, axis=1), X_SCALE, 255)
    y = writer.quantize(conv_layer(writer, soft), 0.01, 100, name="y")
    model = writer.model(y, writer.op("Relu", first, name="also"))
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)
    canonicalise(model)
    program = lower(model)
    assert kinds(program) == ["Conv", "Dequantize", "Softmax", "Quantize", "Conv", "Clip"]
    results = interpreter.run(program, inputs)
    assert np.abs(results["y"].astype(int) - expected["y"]).max() <= 1
    assert np.abs(results["also"] - expected["also"]).max() <= 0.0501


def test_two_clips_become_one_rescale_at_most() -> None:
    writer = Writer()
    x = integer_input(writer, (1, 64))
    limit = writer.constant(np.float32(1))
    y = writer.quantize(writer.op("Clip", writer.op("Relu", x), "", limit), 0.01, 5)
    [step] = assert_within_one_step(writer, y, ["Rescale"]).steps
    assert not isinstance(step, Clip)


def test_scales_whose_ratio_is_beyond_float32_are_a_table() -> None:
    writer = Writer()
    x = writer.dequantize(writer.input("x", (256,), "uint8"), 1e30, 0)
    model = writer.model(writer.quantize(writer.op("Relu", x), 1e-30, 0, name="y"))
    inputs = {"x": np.arange(256, dtype=np.uint8)}
    expected = evaluate(model, inputs)["y"]
    program = lower(model)
    assert kinds(program) == ["Lookup"]
    np.testing.assert_array_equal(interpreter.run(program, inputs)["y"], expected)
