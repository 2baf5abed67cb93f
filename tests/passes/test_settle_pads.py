"""Pools computed as onnxruntime computes them, whatever their padding, strides and dilations."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from openwork.errors import DataError, ModelError, UnsupportedError
from openwork.graph import evaluate, static_shape
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from openwork.passes.settle_pads import settle_pads
from tests.models import Writer, random_inputs


@st.composite
def pools(draw: st.DrawFn) -> ir.Model:
    opset, rank = draw(st.sampled_from([13, 18, 21])), draw(st.integers(1, 3))
    writer = Writer(draw(st.integers(0, 1000)), opset)
    operator = draw(st.sampled_from(["MaxPool", "MaxPool", "AveragePool"]))

    def each(low: int, high: int) -> list[int]:
        return [draw(st.integers(low, high)) for _ in range(rank)]

    attributes: dict[str, object] = {"kernel_shape": each(1, 4), "strides": each(1, 4)}
    attributes["auto_pad"] = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER"]))
    if operator == "MaxPool" or opset >= 19:
        attributes["dilations"] = each(1, 3)
    attributes["ceil_mode"] = draw(st.integers(0, 1))
    if operator == "AveragePool":
        attributes["count_include_pad"] = draw(st.integers(0, 1))
    x = writer.input("x", (1, 2, *each(1, 9)))
    return writer.model(writer.op(operator, x, name="y", **attributes))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(pools())
def test_pools_are_as_onnxruntime_has_them(model: ir.Model) -> None:
    note(str(model.graph.node(0)))
    inputs = random_inputs(model)
    try:
        expected = evaluate(model, inputs)["y"]
    except (DataError, ModelError):
        return  # onnxruntime takes fewer combinations
    if expected.size == 0 or not np.isfinite(expected).all() or (np.abs(expected) > 1e30).any():
        return  # windows that see no pixel
    canonicalise(model)
    try:
        program = lower(model)
    except UnsupportedError as error:
        assert "auto_pad SAME" in str(error)
        return
    assert static_shape(model.graph.outputs[0]) == expected.shape
    np.testing.assert_allclose(interpreter.run(program, inputs)["y"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("auto", "pads"), [("SAME_UPPER", (1, 2)), ("SAME_LOWER", (2, 1))])
def test_pads_are_those_without_dilations(auto: str, pads: tuple[int, int]) -> None:
    writer = Writer()
    y = writer.op("MaxPool", writer.input("x", (1, 1, 9)), kernel_shape=[4], dilations=[2], auto_pad=auto)
    node = writer.model(y).graph.node(0)
    assert settle_pads(node)
    assert tuple(node.attributes.get_ints("pads")) == pads
    assert not settle_pads(node)


def test_windows_far_apart_are_refused() -> None:
    """onnxruntime takes the second of three pixels, padding by less than nothing."""
    writer = Writer()
    y = writer.op(
        "AveragePool", writer.input("x", (1, 1, 3)), kernel_shape=[1], strides=[3], auto_pad="SAME_UPPER", name="y"
    )
    model = writer.model(y)
    canonicalise(model)
    with pytest.raises(UnsupportedError, match="auto_pad SAME"):
        lower(model)


def test_a_window_that_would_begin_in_the_padding_is_none() -> None:
    writer = Writer(opset=13)
    x = writer.input("x", (1, 1, 4))
    y = writer.op("MaxPool", x, kernel_shape=[1], strides=[4], ceil_mode=1, pads=[0, 0], name="y")
    model = writer.model(y)
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    canonicalise(model)
    np.testing.assert_array_equal(interpreter.run(lower(model), inputs)["y"], expected)


@pytest.mark.parametrize("wrong", [{"strides": [1]}, {"strides": [0, 1]}, {"dilations": [1]}])
def test_contradictions_are_left_for_shape_inference(wrong: dict[str, list[int]]) -> None:
    x = ir.val("x", ir.DataType.FLOAT, ir.Shape([1, 1, 5, 5]))
    node = ir.node("MaxPool", [x], {"kernel_shape": [2, 2], "auto_pad": "SAME_UPPER", **wrong})
    assert not settle_pads(node)
    assert node.attributes.get_string("auto_pad") == "SAME_UPPER"
