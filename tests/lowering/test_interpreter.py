"""The interpreter against onnxruntime, and its integers against sums written out in plain loops."""

from itertools import product
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given, settings
from numpy.typing import NDArray

from openwork.errors import DataError
from openwork.graph import evaluate
from openwork.lowering import Add, AddScales, Buffer, Conv, Float32Scale, Program, interpreter, lower
from tests.models import Writer, conv_net, mobile_net, random_inputs, residual_net

WINDOWS = st.fixed_dictionaries(
    {
        "kernel": st.tuples(st.integers(1, 4), st.integers(1, 4)),
        "strides": st.tuples(st.integers(1, 3), st.integers(1, 3)),
        "pads": st.tuples(*[st.integers(0, 3)] * 4),
        "dilations": st.tuples(st.integers(1, 2), st.integers(1, 2)),
    }
)


def output_size(size: tuple[int, ...], window: dict[str, Any]) -> tuple[int, ...]:
    """Spatial output shape by the formula of ONNX."""
    rank = len(size)
    return tuple(
        (
            size[i]
            + window["pads"][i]
            + window["pads"][i + rank]
            - window["dilations"][i] * (window["kernel"][i] - 1)
            - 1
        )
        // window["strides"][i]
        + 1
        for i in range(rank)
    )


def convolve_in_loops(x: NDArray[Any], weight: NDArray[Any], window: dict[str, Any], groups: int) -> NDArray[np.int64]:
    """The definition, one output element at a time; x [N, C, H, W] without padding."""
    (height, width), (top, left, _, _) = x.shape[2:], window["pads"]
    rows, columns = output_size(x.shape[2:], window)
    inner, outer = weight.shape[1], weight.shape[0] // groups
    y = np.zeros((len(x), len(weight), rows, columns), np.int64)
    for n, o, r, c in np.ndindex(*y.shape):
        for i, kr, kc in np.ndindex(inner, *weight.shape[2:]):
            at_r = r * window["strides"][0] + kr * window["dilations"][0] - top
            at_c = c * window["strides"][1] + kc * window["dilations"][1] - left
            if 0 <= at_r < height and 0 <= at_c < width:
                y[n, o, r, c] += int(x[n, o // outer * inner + i, at_r, at_c]) * int(weight[o, i, kr, kc])
    return y


@pytest.mark.parametrize("make", [conv_net, residual_net, mobile_net])
def test_float_networks_agree_with_onnxruntime(make: Any) -> None:
    model = make()
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    result = interpreter.run(lower(model), inputs)["y"]
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@settings(max_examples=40, deadline=None)
@given(WINDOWS, st.sampled_from([(1, 3, 4), (2, 2, 1), (3, 1, 2)]), st.integers(1, 2), st.booleans())
def test_float_convolutions_of_every_shape_agree_with_onnxruntime(
    window: dict[str, Any], groups: tuple[int, int, int], batch: int, with_bias: bool
) -> None:
    count, inner, outer = groups
    size = (7, 6)
    assume(min(output_size(size, window)) > 0)
    writer = Writer()
    operands = [writer.constant(writer.normal(count * outer, inner, *window["kernel"]))]
    if with_bias:
        operands.append(writer.constant(writer.normal(count * outer)))
    attributes = {name: list(window[name]) for name in ("strides", "pads", "dilations")}
    x = writer.input("x", (batch, count * inner, *size))
    model = writer.model(writer.op("Conv", x, *operands, name="y", group=count, **attributes))
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    result = interpreter.run(lower(model), inputs)["y"]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@settings(max_examples=30, deadline=None)
@given(
    WINDOWS,
    st.sampled_from([(1, 3, 2), (2, 2, 1), (3, 1, 1)]),
    st.sampled_from(["uint8", "int8"]),
    st.integers(0, 100),
)
def test_integer_accumulators_are_exact(
    window: dict[str, Any], groups: tuple[int, int, int], dtype: str, zero_point: int
) -> None:
    count, inner, outer = groups
    size = (5, 4)
    assume(min(output_size(size, window)) > 0)
    rng = np.random.default_rng(zero_point)
    x = rng.integers(0, 127, (1, count * inner, *size)).astype(dtype)
    weight = rng.integers(-127, 128, (count * outer, inner, *window["kernel"])).astype(np.int8)
    bias = rng.integers(-999, 999, count * outer).astype(np.int32)
    # With scale 1 and no clamping the output is the accumulator: exact in float32 below 2^24.
    identity = Float32Scale(np.ones(1, np.float32), 0, -(2**24), 2**24)
    step = Conv(
        "conv",
        "x",
        "y",
        "weight",
        "bias",
        window["strides"],
        window["pads"],
        window["dilations"],
        count,
        input_zero_point=zero_point,
        requantize=identity,
    )
    buffers = {
        "x": Buffer(x.shape, dtype),
        "y": Buffer((1, len(weight), *output_size(size, window)), "int32"),
    }
    program = Program(("x",), ("y",), buffers, {"weight": weight, "bias": bias}, (step,))
    expected = convolve_in_loops(x.astype(np.int64) - zero_point, weight, window, count)
    expected += bias.reshape(-1, 1, 1)
    np.testing.assert_array_equal(interpreter.run(program, {"x": x})["y"], expected)


def test_requantization_rounds_halves_to_even_and_clamps() -> None:
    x = np.arange(-8, 8, dtype=np.int8).reshape(1, 1, 16)
    half = Float32Scale(np.array([0.5], np.float32), 3, 1, 6)
    step = Conv("conv", "x", "y", "one", None, (1,), (0, 0), (1,), input_zero_point=0, requantize=half)
    buffers = {"x": Buffer(x.shape, "int8"), "y": Buffer(x.shape, "uint8")}
    program = Program(("x",), ("y",), buffers, {"one": np.ones((1, 1, 1), np.int8)}, (step,))
    # x / 2:     -4 -3.5 -3 -2.5 -2 -1.5 -1 -0.5 0 0.5 1 1.5 2 2.5 3 3.5, halves to even, + 3, into 1..6
    expected = [1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 4, 5, 5, 5, 6, 6]
    assert interpreter.run(program, {"x": x})["y"].ravel().tolist() == expected


def test_a_residual_rounds_twice() -> None:
    # 3 * 0.5 = 1.5 -> 2, then (2 + 1) * 0.5 = 1.5 -> 2; rounded once it would be (1.5 + 1) * 0.5 = 1.25 -> 1.
    half = np.array([0.5], np.float32)
    step = Conv(
        "conv",
        "x",
        "y",
        "one",
        None,
        (1,),
        (0, 0),
        (1,),
        requantize=Float32Scale(half, 0, 0, 255),
        residual=Add("add", ("between", "r"), "y", requantize=AddScales((0.5, 0.5), (0, 0), 0, 0, 255)),
    )
    buffers = {name: Buffer((1, 1, 1), "uint8") for name in "xry"}
    program = Program(("x", "r"), ("y",), buffers, {"one": np.ones((1, 1, 1), np.int8)}, (step,))
    inputs = {"x": np.full((1, 1, 1), 3, np.uint8), "r": np.full((1, 1, 1), 1, np.uint8)}
    assert interpreter.run(program, inputs)["y"].item() == 2


def test_taps_return_inner_buffers_after_the_outputs() -> None:
    model = conv_net()
    program = lower(model)
    inputs = random_inputs(model)
    names = [step.output for step in program.steps[:-1]]
    results = interpreter.run(program, inputs, taps=names)
    assert list(results) == ["y", *names]
    expected = evaluate(model, inputs, taps=names)
    for name in names:
        np.testing.assert_allclose(results[name], expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "input 'x': missing"),
        ({"x": np.zeros((1, 3, 16, 15), np.float32)}, r"input 'x': is float32 of shape \(1, 3, 16, 15\)"),
        ({"x": np.zeros((1, 3, 16, 16))}, "input 'x': is float64"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(inputs: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        interpreter.run(lower(conv_net()), inputs)


def test_a_tap_that_is_no_buffer_is_refused() -> None:
    model = conv_net()
    with pytest.raises(DataError, match="tap 'nowhere'"):
        interpreter.run(lower(model), random_inputs(model), taps=["nowhere"])


def test_sums_beyond_float64_are_refused() -> None:
    wide = np.full((1, 1, 1), 2**31 - 1, np.int64)
    step = Conv("c", "x", "y", "w", None, (1,), (0, 0), (1,), requantize=Float32Scale(np.ones(1, np.float32), 0, 0, 1))
    buffers = {"x": Buffer((1, 1, 1), "int64"), "y": Buffer((1, 1, 1), "uint8")}
    program = Program(("x",), ("y",), buffers, {"w": wide}, (step,))
    with pytest.raises(AssertionError, match="not exact"):
        interpreter.run(program, {"x": wide})


def test_every_window_of_a_small_pool_is_seen() -> None:
    """Max and mean over each window, against the windows cut out one by one."""
    writer = Writer()
    x = writer.input("x", (1, 2, 5, 5))
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    writer.op("MaxPool", x, name="largest", **window)
    writer.op("AveragePool", x, name="mean", **window)
    model = writer.model("largest", "mean")
    array = random_inputs(model)["x"]
    results = interpreter.run(lower(model), {"x": array})
    for r, c in product(range(3), range(5)):
        cut = array[0, :, max(0, 2 * r - 1) : 2 * r + 2, c : c + 2]
        np.testing.assert_array_equal(results["largest"][0, :, r, c], cut.max((1, 2)))
        np.testing.assert_allclose(results["mean"][0, :, r, c], cut.mean((1, 2)), rtol=1e-6)
