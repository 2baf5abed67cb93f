"""Padding, strides and dilations of Conv and the pools against onnxruntime."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import assume, given, settings

from openwork.errors import UnsupportedError
from openwork.graph import evaluate, static_shape
from openwork.lowering import interpreter, lower
from openwork.passes import infer_shapes
from tests.models import Writer, random_inputs


def assert_agrees(model: ir.Model) -> None:
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    result = interpreter.run(lower(model), inputs)["y"]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("operator", ["Conv", "MaxPool", "AveragePool"])
def test_automatic_padding(operator: str, auto_pad: str) -> None:
    writer = Writer()
    x = writer.input("x", (1, 2, 7, 8))
    attributes: dict[str, Any] = {"auto_pad": auto_pad, "strides": [2, 3], "kernel_shape": [4, 3]}
    weight = [writer.constant(writer.normal(3, 2, 4, 3))] if operator == "Conv" else []
    model = writer.model(writer.op(operator, x, *weight, name="y", **attributes))
    infer_shapes(model)
    assert_agrees(model)


@pytest.mark.parametrize("operator", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("size", range(5, 12))
@pytest.mark.parametrize("kernel", [2, 3])
def test_ceil_mode_sees_the_incomplete_last_window(operator: str, size: int, kernel: int) -> None:
    writer = Writer()
    x = writer.input("x", (1, 2, size, size + 1))
    window = {"kernel_shape": [kernel] * 2, "strides": [3, 2], "pads": [1, 1, 1, 0], "ceil_mode": 1}
    model = writer.model(writer.op(operator, x, name="y", **window))
    computed = evaluate(model, random_inputs(model))["y"].shape
    if static_shape(model.graph.outputs[0]) == computed:
        assert_agrees(model)
    else:  # ONNX's shape inference counts a window that lies in the padding alone, onnxruntime does not
        with pytest.raises(UnsupportedError, match="in the padding alone"):
            lower(model)


def test_a_dilated_window_whose_taps_all_fall_on_padding_is_refused() -> None:
    """It reaches over the only pixel: its taps lie at -3, -1, 1 and 3. onnxruntime computes -3.4e38, not -inf."""
    writer = Writer()
    x = writer.input("x", (1, 1, 1, 1))
    window = {"kernel_shape": [1, 4], "pads": [0, 3, 0, 3], "dilations": [1, 2]}
    with pytest.raises(UnsupportedError, match="in the padding alone"):
        lower(writer.model(writer.op("MaxPool", x, name="y", **window)))


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(["MaxPool", "AveragePool"]),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(*[st.integers(0, 3)] * 4),
    st.booleans(),
)
def test_pools_of_every_shape(
    operator: str,
    kernel: tuple[int, int],
    strides: tuple[int, int],
    pads: tuple[int, int, int, int],
    include_pad: bool,
) -> None:
    assume(all(pad < size for pad, size in zip(pads, kernel + kernel, strict=True)))
    writer = Writer()
    x = writer.input("x", (2, 3, 8, 7))
    attributes = {"count_include_pad": int(include_pad)} if operator == "AveragePool" else {}
    window = {"kernel_shape": kernel, "strides": strides, "pads": pads}
    assert_agrees(writer.model(writer.op(operator, x, name="y", **window, **attributes)))


def test_padding_that_onnx_does_not_know_is_refused() -> None:
    writer = Writer()
    x = writer.input("x", (1, 1, 8, 8))
    model = writer.model(writer.op("MaxPool", x, name="y", kernel_shape=[2, 2], auto_pad="VALID"))
    node = model.graph.node(0)
    node.attributes["auto_pad"] = ir.AttrString("auto_pad", "MIRROR")
    with pytest.raises(UnsupportedError, match="auto_pad 'MIRROR' is no padding of ONNX"):
        lower(model)


def test_a_declared_shape_that_contradicts_the_input_is_refused() -> None:
    writer = Writer()
    x = writer.input("x", (1, 1, 8, 8))
    model = writer.model(writer.op("MaxPool", x, name="y", kernel_shape=[2, 2]))
    model.graph.outputs[0].shape = ir.Shape((1, 1, 6, 7))
    with pytest.raises(UnsupportedError, match="does not follow from its input shape"):
        lower(model)
