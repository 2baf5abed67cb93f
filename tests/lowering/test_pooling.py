"""Pooling, lowered and interpreted, against onnxruntime."""

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from openwork.errors import UnsupportedError
from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.lowering.test_moving import check
from tests.models import Writer, random_inputs

some = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def windows(draw: st.DrawFn, rank: int) -> tuple[tuple[int, ...], dict[str, Any]]:
    """(sizes of the image, attributes): windows none of which lies in the padding alone."""
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    auto = draw(st.sampled_from(["", "", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    strides = [draw(st.integers(1, width if auto else 3)) for width in kernel]  # onnxruntime pads by less than nothing
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": strides, "ceil_mode": draw(st.integers(0, 1))}
    sizes = tuple(draw(st.integers(5, 9)) for _ in range(rank))
    if auto:
        attributes |= {"auto_pad": auto, "ceil_mode": 0}
    else:
        attributes["pads"] = [draw(st.integers(0, (width - 1) // 2)) for width in kernel * 2]
    return sizes, attributes


@pytest.mark.parametrize("rank", [1, 2, 3])
@some
@given(st.data())
def test_max_pool(rank: int, data: st.DataObject) -> None:
    sizes, attributes = data.draw(windows(rank))
    if "auto_pad" not in attributes:
        attributes["dilations"] = [data.draw(st.integers(1, 2)) for _ in range(rank)]
    compared("MaxPool", sizes, attributes, data.draw(st.sampled_from(["float32", "uint8", "int8"])))


@pytest.mark.parametrize("rank", [1, 2, 3])
@some
@given(st.data())
def test_average_pool(rank: int, data: st.DataObject) -> None:
    sizes, attributes = data.draw(windows(rank))
    attributes["count_include_pad"] = data.draw(st.integers(0, 1))
    if "auto_pad" not in attributes:
        attributes["dilations"] = [data.draw(st.integers(1, 2)) for _ in range(rank)]
    compared("AveragePool", sizes, attributes)


@pytest.mark.parametrize("power", [1, 2, 3])
@some
@given(st.data())
def test_lp_pool(power: int, data: st.DataObject) -> None:
    sizes, attributes = data.draw(windows(2))
    compared("LpPool", sizes, attributes | {"p": power, "ceil_mode": 0})


def compared(operator: str, sizes: tuple[int, ...], attributes: dict[str, Any], dtype: str = "float32") -> None:
    """The same as onnxruntime, unless openwork refuses a window that lies in the padding alone."""
    writer = Writer(opset=22)
    model = writer.model(writer.op(operator, writer.input("x", (2, 3, *sizes), dtype), name="y", **attributes))
    canonical = model.clone()
    canonicalise(canonical)
    try:
        lower(canonical)
    except UnsupportedError as error:
        assert "a window lies in the padding alone" in str(error)
        return
    check(model, 1e-4 if dtype == "float32" else 0)


def test_indices_of_the_largest_are_refused() -> None:
    writer = Writer()
    writer.node("MaxPool", [writer.input("x", (1, 1, 4, 4))], ["y", "places"], kernel_shape=[2, 2])
    with pytest.raises(UnsupportedError, match="its output 'places' is used"):
        lower(writer.model("y", "places"))


def test_pools_of_integers_between_dequantize_and_quantize() -> None:
    """Three dimensions are two steps; both run on integers."""
    writer = Writer()
    x = writer.dequantize(writer.input("x", (1, 2, 4, 5, 6), "uint8"), 0.1, 100)
    pooled = writer.op("MaxPool", x, kernel_shape=[2, 2, 2])
    model = writer.model(writer.quantize(pooled, 0.1, 100, name="y"))
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    canonicalise(model)
    program = lower(model)
    assert [type(step).__name__ for step in program.steps] == ["Reshape", "MaxPool", "Reshape", "MaxPool", "Reshape"]
    assert (interpreter.run(program, inputs)["y"] == expected).all()
