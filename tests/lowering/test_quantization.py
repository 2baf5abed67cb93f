"""QuantizeLinear and DequantizeLinear: what they mean, what becomes of constants, what is refused."""

import numpy as np
import pytest

from openwork.errors import UnsupportedError
from openwork.graph import evaluate
from openwork.lowering import Conv, interpreter, lower
from openwork.passes import canonicalise
from tests.models import Writer, random_inputs


@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 0), ("uint8", 200), ("int8", -7)])
def test_both_agree_with_onnxruntime_bit_for_bit(dtype: str, zero_point: int) -> None:
    writer = Writer()
    integers = writer.quantize(writer.input("x", (64, 64)), 0.0123, zero_point, dtype, name="integers")
    model = writer.model(integers, writer.dequantize(integers, 0.0123, zero_point, dtype, name="reals"))
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)
    results = interpreter.run(lower(model), inputs)
    for name in ("integers", "reals"):
        assert results[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(results[name], expected[name])


def test_a_missing_zero_point_is_zero() -> None:
    writer = Writer()
    y = writer.op("QuantizeLinear", writer.input("x", (8, 8)), writer.constant(np.float32(0.1)), name="y")
    model = writer.model(y)
    inputs = random_inputs(model)
    np.testing.assert_array_equal(interpreter.run(lower(model), inputs)["y"], evaluate(model, inputs)["y"])


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_constants_become_real_along_any_axis(axis: int) -> None:
    writer = Writer()
    integers = writer.rng.integers(-128, 128, (3, 4, 5)).astype(np.int8)
    count = integers.shape[axis]
    constant = writer.quantized_constant(
        integers, writer.rng.uniform(0.1, 1, count), writer.rng.integers(-9, 9, count), axis=axis
    )
    model = writer.model(writer.op("Add", writer.input("x", (3, 4, 5)), constant, name="y"))
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    np.testing.assert_array_equal(interpreter.run(lower(model), inputs)["y"], expected)


def test_a_float_weight_with_both_nodes_behind_it_runs_on_integers() -> None:
    writer = Writer()
    x = writer.dequantize(writer.input("x", (1, 4, 5, 5), "uint8"), 0.02, 128)
    params = (writer.constant(np.full(6, 0.01, np.float32)), writer.constant(np.zeros(6, np.int8)))
    weight = writer.op("QuantizeLinear", writer.constant(writer.normal(6, 4, 3, 3)), *params, axis=0)
    conv = writer.op("Conv", x, writer.op("DequantizeLinear", weight, *params, axis=0))
    model = writer.model(writer.quantize(conv, 0.05, 128, name="y"))
    canonicalise(model)
    program = lower(model)
    [step] = program.steps
    assert isinstance(step, Conv) and program.constants[step.weight].dtype == np.int8
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"].astype(int)
    assert np.abs(interpreter.run(program, inputs)["y"] - expected).max() <= 1


def refused(writer: Writer, *outputs: str) -> str:
    """The one reason why the only unsupported node is refused."""
    with pytest.raises(UnsupportedError) as caught:
        lower(writer.model(*outputs))
    [node] = caught.value.nodes
    return node.reason


def test_a_scale_per_channel_of_an_activation_is_refused() -> None:
    writer = Writer()
    scale, zero = writer.constant(np.ones(2, np.float32)), writer.constant(np.zeros(2, np.uint8))
    y = writer.op("QuantizeLinear", writer.input("x", (1, 2, 4)), scale, zero, axis=1)
    assert "one scale per channel" in refused(writer, y)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.inf, np.nan])
def test_scales_that_are_not_positive_are_refused(scale: float) -> None:
    writer = Writer()
    assert "positive" in refused(writer, writer.quantize(writer.input("x", (1, 2)), scale))


def test_scales_per_block_are_refused() -> None:
    writer = Writer(opset=21)
    x = writer.input("x", (2, 8))
    y = writer.op("QuantizeLinear", x, writer.constant(np.ones((2, 4), np.float32)), axis=1, block_size=2)
    assert "one scale per block" in refused(writer, y)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("channels", [(), (8,)], ids=["per tensor", "per channel"])
def test_scales_known_only_at_run_time(dtype: str, channels: tuple[int, ...]) -> None:
    writer = Writer()
    x, scale, zero = writer.input("x", (2, 8)), writer.input("scale", channels), writer.input("zero", channels, dtype)
    integers = writer.op("QuantizeLinear", x, scale, zero, name="integers")
    model = writer.model(integers, writer.op("DequantizeLinear", integers, scale, zero, name="reals"))
    inputs = random_inputs(model) | {"scale": np.full(channels, np.float32(0.0123)), "x": 2 * writer.normal(2, 8)}
    expected = evaluate(model, inputs)
    results = interpreter.run(lower(model), inputs)
    for name in ("integers", "reals"):
        assert results[name].dtype == expected[name].dtype
        np.testing.assert_array_equal(results[name], expected[name])


def test_scales_known_only_at_run_time_are_refused_for_wide_integers() -> None:
    writer = Writer()
    x, scale, zero = writer.input("x", (2, 8)), writer.input("scale", ()), writer.constant(np.uint16(7))
    reason = refused(writer, writer.op("QuantizeLinear", x, scale, zero))
    assert reason == "its scale or zero point is known only at run time; openwork takes int8 and uint8 then, not uint16"
