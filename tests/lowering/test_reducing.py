"""Rules for what looks along axes, and what they mean, against onnxruntime."""

from itertools import product
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from onnx.reference import ReferenceEvaluator

from openwork.errors import ModelError
from openwork.graph import evaluate
from openwork.lowering import Conv, Normalize, interpreter, lower
from openwork.passes import canonicalise
from tests.graphs import graph
from tests.lowering.test_integers import X_SCALE, X_ZERO, assert_within_one_step, integer_input
from tests.lowering.test_matrix import assert_agrees
from tests.models import Writer, random_inputs

REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("axes", [[1], [-1, 0], None])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("operator", REDUCTIONS)
def test_reductions(operator: str, opset: int, axes: list[int] | None, keepdims: int) -> None:
    """Axes are an attribute first, an input since opset 18 (always for sums)."""
    writer = Writer(opset=opset)
    x = writer.op("Exp", writer.input("x", (2, 3, 4))) if operator == "LogSum" else writer.input("x", (2, 3, 4))
    as_input = opset >= 18 or operator == "Sum"
    operands = [x, writer.constant(np.array(axes))] if as_input and axes else [x]
    given: dict[str, Any] = {"axes": axes} if axes and not as_input else {}
    y = writer.op(f"Reduce{operator}", *operands, name="y", keepdims=keepdims, **given)
    assert_agrees(writer.model(y))


@pytest.mark.parametrize("operator", ["Max", "Mean", "Sum"])
def test_no_axes_may_mean_no_reduction(operator: str) -> None:
    writer = Writer()
    y = writer.op(f"Reduce{operator}", writer.input("x", (2, 3)), name="y", noop_with_empty_axes=1)
    assert_agrees(writer.model(y))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("operator", ["Max", "Min", "Sum", "Prod"])
def test_reductions_of_integers(operator: str, dtype: str) -> None:
    writer = Writer()
    integers = writer.op("Cast", writer.input("x", (3, 4), "int8"), to={"int32": 6, "int64": 7}[dtype])
    assert_agrees(writer.model(writer.op(f"Reduce{operator}", integers, writer.constant(np.array([1])), name="y")))


def test_means_of_integers_are_cut_towards_zero() -> None:
    writer = Writer()
    integers = writer.op("Cast", writer.input("x", (30, 4), "int8"), to=6)
    assert_agrees(writer.model(writer.op("ReduceMean", integers, writer.constant(np.array([1])), name="y")))


@pytest.mark.parametrize("operator", ["ArgMax", "ArgMin"])
@pytest.mark.parametrize("attributes", [{}, {"axis": -1, "keepdims": 0}, {"axis": 1, "select_last_index": 1}])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_arg_max(operator: str, attributes: dict[str, int], dtype: str) -> None:
    writer = Writer()
    x = writer.input("x", (2, 3, 40), dtype)
    x = x if dtype == "uint8" else writer.op("Round", x)  # many equals
    assert_agrees(writer.model(writer.op(operator, x, name="y", **attributes)))


@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8", "int8"])
def test_top_k(dtype: str, axis: int, largest: int) -> None:
    """Values and indices, and either alone; of equals the first, the farthest integers among them."""
    for k, outputs in ((1, ("v", "i")), (2, ("v",)), (3, ("i",)), (3, ("v", "i"))):
        writer = Writer()
        x = writer.input("x", (3, 3, 40), dtype)
        x = writer.op("Round", x) if dtype == "float32" else x
        writer.node("TopK", [x, writer.constant(np.array([k]))], ["v", "i"], axis=axis, largest=largest)
        assert_agrees(writer.model(*outputs))


def test_top_k_of_what_is_no_number() -> None:
    """Comes last, in its order; onnxruntime's result depends on its algorithm."""
    writer = Writer()
    writer.node("TopK", [writer.input("x", (5,)), writer.constant(np.array([5]))], ["v", "i"])
    x = np.float32([np.nan, 1, np.inf, np.nan, -np.inf])
    results = interpreter.run(lower(writer.model("v", "i")), {"x": x})
    np.testing.assert_array_equal(results["i"], [2, 1, 4, 0, 3])
    np.testing.assert_array_equal(results["v"], x[[2, 1, 4, 0, 3]])


@pytest.mark.parametrize("operator", ["GlobalAveragePool", "GlobalMaxPool"])
@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 4, 5), (2, 3, 4, 5, 2), (1, 1, 1, 1)])
def test_global_pools(operator: str, shape: tuple[int, ...]) -> None:
    writer = Writer()
    assert_agrees(writer.model(writer.op(operator, writer.input("x", shape), name="y")))


@pytest.mark.parametrize("operator", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("axis", [None, 0, 1, -1])
def test_softmax_on_any_axis(operator: str, axis: int | None) -> None:
    writer = Writer()
    given = {} if axis is None else {"axis": axis}
    assert_agrees(writer.model(writer.op(operator, writer.input("x", (2, 3, 4)), name="y", **given)))


@pytest.mark.parametrize("attributes", [{}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}])
@pytest.mark.parametrize("axis", [0, -1])
def test_cum_sum(attributes: dict[str, int], axis: int) -> None:
    writer = Writer()
    operands = (writer.input("x", (3, 4, 5)), writer.constant(np.array(axis)))
    assert_agrees(writer.model(writer.op("CumSum", *operands, name="y", **attributes)))


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 17, 1), (1, 1, 2)], ids=str)
def test_sums_of_whole_numbers_are_exact(shape: tuple[int, ...], dtype: str) -> None:
    """However large they are: also where they wrap around."""
    for axis, reverse, exclusive in product((0, 1, -1), (0, 1), (0, 1)):
        writer = Writer()
        x, axis_name = writer.input("x", shape, dtype), writer.constant(np.array(axis))
        assert_agrees(writer.model(writer.op("CumSum", x, axis_name, name="y", reverse=reverse, exclusive=exclusive)))


@pytest.mark.parametrize("shape", [(2, 7, 3, 4), (1, 1, 2, 2)], ids=str)
@pytest.mark.parametrize("size", [1, 3, 5, 21])
def test_local_response_normalization(size: int, shape: tuple[int, ...]) -> None:
    """To windows that see all channels."""
    for attributes in ({}, {"alpha": 0.7, "beta": 0.6, "bias": 2.0}):
        writer = Writer()
        assert_agrees(writer.model(writer.op("LRN", writer.input("x", shape), name="y", size=size, **attributes)))


def test_local_response_normalization_of_an_even_window() -> None:
    """One more channel behind than before, which onnxruntime refuses. As many images as channels: ONNX's reference
    takes the number of one for that of the other."""
    writer = Writer()
    model = writer.model(writer.op("LRN", writer.input("x", (7, 7, 2, 2)), name="y", size=4, alpha=0.9))
    inputs = random_inputs(model)
    [expected] = ReferenceEvaluator(ir.to_proto(model)).run(None, inputs)
    np.testing.assert_allclose(interpreter.run(lower(model), inputs)["y"], expected, atol=1e-5)


@pytest.mark.parametrize("axis", [None, -1, 1, 0])
@pytest.mark.parametrize("operands", ["scale", "both", "computed"])
def test_layer_normalization(axis: int | None, operands: str) -> None:
    writer = Writer()
    shape, given = (2, 3, 4), {} if axis is None else {"axis": axis, "epsilon": 0.01}
    part = shape[-1:] if axis is None else shape[axis:]
    names = [writer.input("x", shape)]
    for name in ("scale",) if operands == "scale" else ("scale", "bias"):
        array = writer.normal(*part)
        names.append(writer.input(name, part) if operands == "computed" else writer.constant(array))
    program = assert_agrees(writer.model(writer.op("LayerNormalization", *names, name="y", **given)))
    assert [type(step) for step in program.steps] == [Normalize]


@pytest.mark.parametrize("shape", [(2, 3, 7), (2, 3, 4, 5)])
@pytest.mark.parametrize("constant", [True, False])
def test_instance_normalization(shape: tuple[int, ...], constant: bool) -> None:
    writer = Writer()
    x = writer.input("x", shape)
    names = [writer.constant(writer.normal(3)) if constant else writer.input(name, (3,)) for name in ("s", "b")]
    assert_agrees(writer.model(writer.op("InstanceNormalization", x, *names, name="y")))


@pytest.mark.parametrize(("opset", "parameters"), [(18, 2), (21, 6)])
def test_group_normalization(opset: int, parameters: int) -> None:
    """Its scale is one value per group, later per channel."""
    rng = np.random.default_rng(0)
    constants = {name: rng.normal(size=parameters).astype(np.float32) for name in ("s", "b")}
    text = "(float[2,6,4,5] x) => (float[2,6,4,5] y) { n = GroupNormalization<num_groups=2>(x, s, b) y = Relu(n) }"
    assert_agrees(graph(text, opset=opset, **constants))


@pytest.mark.parametrize("axis", [-1, 1])
def test_rms_normalization(axis: int) -> None:
    writer = Writer(opset=23)
    x, scale = writer.input("x", (2, 3, 4)), writer.normal(*(2, 3, 4)[axis:])
    model = writer.model(writer.op("RMSNormalization", x, writer.constant(scale), name="y", axis=axis))
    inputs = random_inputs(model)
    canonicalise(model)
    squares = np.square(inputs["x"]).mean(tuple(range(axis % 3, 3)), keepdims=True)
    expected = inputs["x"] / np.sqrt(squares + 1e-5) * scale
    np.testing.assert_allclose(interpreter.run(lower(model), inputs)["y"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("axes", ["", "<axes=[0, 1]>", "<axes=[2]>"])
def test_mean_variance_normalization(axes: str) -> None:
    text = f"(float[2,3,4,5] x) => (float[2,3,4,5] y) {{ n = MeanVarianceNormalization{axes}(x) y = Relu(n) }}"
    assert_agrees(graph(text))


@pytest.mark.parametrize("attributes", [{}, {"axis": 0}, {"axis": 1, "p": 1}])
def test_lp_normalization(attributes: dict[str, int]) -> None:
    """A row of zeros stays one."""
    writer = Writer()
    x = writer.op("Relu", writer.input("x", (5, 2)))
    assert_agrees(writer.model(writer.op("LpNormalization", x, name="y", **attributes)))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 5), (2, 3, 4, 5), (2, 3, 2, 2, 2)])
def test_batch_normalization_that_stands_alone(shape: tuple[int, ...]) -> None:
    writer = Writer()
    x = writer.op("Relu", writer.input("x", shape))
    arrays = [writer.normal(3), writer.normal(3), writer.normal(3), np.exp(writer.normal(3))]
    y = writer.op("BatchNormalization", x, *map(writer.constant, arrays), name="y")
    program = assert_agrees(writer.model(y))
    assert any(isinstance(step, Conv) for step in program.steps) == (len(shape) in (3, 4))


def test_the_statistics_of_a_layer_normalization() -> None:
    writer = Writer()
    x, scale = writer.input("x", (2, 4)), writer.constant(writer.normal(4))
    model = writer.model(writer.op("LayerNormalization", x, scale, name="y", epsilon=0.5))
    [node] = model.graph
    node.resize_outputs(3)
    for output, name in zip(node.outputs[1:], ("mean", "inverse"), strict=True):
        output.name, output.type = name, ir.TensorType(ir.DataType.FLOAT)
        model.graph.outputs.append(output)
    inputs = random_inputs(model)
    canonicalise(model)
    results = interpreter.run(lower(model), inputs)
    expected = evaluate(model, inputs)
    assert list(results) == ["y", "mean", "inverse"]
    for name, result in results.items():
        np.testing.assert_allclose(result, expected[name], rtol=1e-5, atol=1e-6)


def test_tensors_without_elements_are_refused() -> None:
    writer = Writer()
    writer.input("x", (2, 0, 3))
    model = writer.model(writer.op("ReduceSum", "x", name="y"))
    with pytest.raises(ModelError, match=r"'x'.*0"):
        canonicalise(model)
        lower(model)


def test_results_without_elements_are_refused() -> None:
    writer = Writer()
    bounds = [writer.constant(np.array([bound])) for bound in (2, 2, 0)]
    model = writer.model(writer.op("Relu", writer.op("Slice", writer.input("x", (3, 4)), *bounds), name="y"))
    canonicalise(model)
    with pytest.raises(ModelError, match="no elements"):
        lower(model)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(
    ("operator", "kinds"),
    [("ReduceSum", ["Reduce"]), ("ReduceMean", ["Mean"]), ("ReduceMax", ["Reduce", "Rescale"])],
)
def test_reductions_of_bytes_run_on_integers(operator: str, kinds: list[str], dtype: str) -> None:
    writer = Writer()
    x = integer_input(writer, (4, 50, 9), dtype)
    scale = {"ReduceSum": 0.15, "ReduceMean": 0.005, "ReduceMax": 0.011}[operator]
    zero = {"uint8": 100, "int8": -20}[dtype] if operator != "ReduceMax" else {"uint8": 0, "int8": -128}[dtype]
    y = writer.op(operator, x, writer.constant(np.array([1 if operator != "ReduceMax" else 2])))
    assert_within_one_step(writer, writer.quantize(y, scale, zero, dtype, name="y"), kinds)


def test_the_largest_of_equally_coded_bytes_is_only_moved() -> None:
    writer = Writer()
    y = writer.op("GlobalMaxPool", integer_input(writer, (3, 40, 2, 2)))
    assert_within_one_step(writer, writer.quantize(y, X_SCALE, X_ZERO, name="y"), ["Reduce"])
