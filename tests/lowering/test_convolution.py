"""Convolutions whose weights are known only at run time, or which have 3 dimensions, against onnxruntime."""

import numpy as np
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.models import Writer, random_inputs

some = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def check(model: ir.Model) -> list[str]:
    """The interpreter's output is onnxruntime's; returns the kinds of the steps."""
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    canonicalise(model)
    program = lower(model)
    np.testing.assert_allclose(interpreter.run(program, inputs)["y"], expected, rtol=1e-4, atol=1e-4)
    return [type(step).__name__ for step in program.steps]


@some
@given(st.data(), st.integers(1, 3), st.sampled_from(["weight", "bias", "both", "neither"]), st.booleans())
def test_convolutions(data: st.DataObject, rank: int, at_run_time: str, transposed: bool) -> None:
    def each(low: int, high: int, count: int = rank) -> list[int]:
        return [data.draw(st.integers(low, high)) for _ in range(count)]

    writer = Writer()
    groups, inner, outer = each(1, 3, 3)
    kernel, pads = each(1, 3), each(0, 2, 2 * rank)
    attributes = {"strides": each(1, 3), "dilations": each(1, 2), "group": groups, "pads": pads}
    sizes = each(7, 9)
    x = writer.input("x", (data.draw(st.integers(1, 2)), groups * inner, *sizes))
    outputs = groups * outer
    weight = (groups * inner, outer, *kernel) if transposed else (outputs, inner, *kernel)
    w = writer.input("w", weight) if at_run_time in ("weight", "both") else writer.constant(writer.normal(*weight))
    b = writer.input("b", (outputs,)) if at_run_time in ("bias", "both") else writer.constant(writer.normal(outputs))
    y = writer.op("ConvTranspose" if transposed else "Conv", x, w, b, name="y", **attributes)
    steps = check(writer.model(y))
    if not transposed:
        assert ("Conv" in steps) == (rank < 3 and at_run_time in ("bias", "neither"))
        assert ("MatMul" in steps) == ("Conv" not in steps)


def test_a_window_that_sees_only_padding() -> None:
    """The first pixel of the result is its bias."""
    writer = Writer()
    x, w, b = writer.input("x", (1, 2, 5)), writer.input("w", (3, 2, 2)), writer.input("b", (3,))
    check(writer.model(writer.op("Conv", x, w, b, name="y", pads=[2, 0])))
