"""Every operator against ONNX's own test cases and against onnxruntime."""

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper

from openwork.errors import ModelError
from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.lowering.operators import OPERATORS
from openwork.passes import canonicalise
from tests.models import Writer, random_inputs


def standard_cases() -> list[Any]:
    """ONNX's node tests that need no operator but ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some cases compute with NaN on purpose
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    return [case for case in cases if {node.op_type for node in case.model.graph.node} <= set(OPERATORS)]


def with_constant_operands(case: Any) -> tuple[ir.Model, dict[str, Any]]:
    """A case as a network has it, and its inputs: every input but the first becomes an initializer."""
    proto = onnx.ModelProto()
    proto.CopyFrom(case.model)
    arrays, _ = case.data_sets[0]
    inputs = dict(zip([value.name for value in proto.graph.input], arrays, strict=True))
    if proto.graph.node[0].op_type not in ("Add", "Concat"):
        for value in list(proto.graph.input)[1:]:
            array = inputs.pop(value.name)
            is_message = isinstance(array, onnx.TensorProto)
            tensor = array if is_message else numpy_helper.from_array(np.asarray(array), value.name)
            proto.graph.initializer.append(tensor)
            proto.graph.input.remove(value)
    return ir.from_proto(proto), inputs


# Where scales give no whole size, onnxruntime aligns the corners of the rounded size, ONNX those of the other.
ONNXRUNTIME_IS_FOLLOWED = (
    "test_resize_downsample_scales_cubic_align_corners",
    "test_resize_downsample_scales_linear_align_corners",
)


def test_the_standard_cases_pass_or_are_refused() -> None:
    passed = 0
    for case in standard_cases():
        if case.name in ONNXRUNTIME_IS_FOLLOWED:
            continue
        model, inputs = with_constant_operands(case)
        names = [output.name for output in model.graph.outputs]
        try:
            canonicalise(model)
            program = lower(model)
        except ModelError:
            continue
        results = interpreter.run(program, {name: in_float32(array) for name, array in inputs.items()})
        for name, expected in zip(names, case.data_sets[0][1], strict=True):
            result, right = results[name], in_float32(expected)
            assert result.dtype == right.dtype, case.name
            rtol = case.rtol if right is expected else 2e-2
            np.testing.assert_allclose(result, right, rtol=rtol, atol=max(case.atol, 1e-6), err_msg=case.name)
        passed += 1
    assert passed >= 120


def in_float32(array: Any) -> Any:
    """What openwork makes of floats of other widths."""
    array = numpy_helper.to_array(array) if isinstance(array, onnx.TensorProto) else array
    return array.astype(np.float32) if array.dtype in (np.float16, np.float64, ml_dtypes.bfloat16) else array


def assert_agrees(model: ir.Model) -> None:
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)
    canonicalise(model)
    results = interpreter.run(lower(model), inputs)
    for name, array in expected.items():
        tolerance = 1e-5 * np.abs(array).max()
        np.testing.assert_allclose(results[name], array, rtol=1e-5, atol=tolerance, err_msg=name)


def test_one_spatial_dimension() -> None:
    writer = Writer()
    x = writer.input("x", (2, 4, 19))
    weight, bias = writer.constant(writer.normal(6, 2, 3)), writer.constant(writer.normal(6))
    y = writer.op("Conv", x, weight, bias, group=2, strides=[2], pads=[2, 1], dilations=[2])
    writer.op("MaxPool", y, name="largest", kernel_shape=[3], strides=[2])
    writer.op("AveragePool", y, name="mean", kernel_shape=[2], pads=[1, 0], count_include_pad=1)
    writer.op("GlobalAveragePool", y, name="all")
    assert_agrees(writer.model("largest", "mean", "all"))


@pytest.mark.parametrize("trans_b", [0, 1])
@pytest.mark.parametrize("c_shape", [(), (1,), (5,), (1, 5), None])
def test_gemm_folds_its_factors(trans_b: int, c_shape: tuple[int, ...] | None) -> None:
    writer = Writer()
    x = writer.input("x", (3, 4))
    operands = [writer.constant(writer.normal(*((5, 4) if trans_b else (4, 5))))]
    if c_shape is not None:
        operands.append(writer.constant(writer.normal(*c_shape) if c_shape else np.float32(0.7)))
    assert_agrees(writer.model(writer.op("Gemm", x, *operands, name="y", transB=trans_b, alpha=0.3, beta=2.0)))


def test_a_matrix_shared_by_gemm_and_matmul_is_read_both_ways() -> None:
    writer = Writer()
    x = writer.input("x", (2, 6, 6))
    square = writer.constant(writer.normal(6, 6))
    flat = writer.op("Reshape", writer.op("MatMul", x, square), writer.constant(np.array([-1, 6])))
    y = writer.op("Gemm", flat, square, transB=1)
    assert_agrees(writer.model(writer.op("Gemm", y, square, name="y")))


@pytest.mark.parametrize(("opset", "axis"), [(13, 0), (13, 1), (20, None)])
def test_softmax_of_every_opset(opset: int, axis: int | None) -> None:
    writer = Writer(opset=opset)
    attributes = {} if axis is None else {"axis": axis}
    assert_agrees(writer.model(writer.op("Softmax", writer.input("x", (3, 5)), name="y", **attributes)))


@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize("axes", [[1], [-1, 1], None])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reduce_mean_of_every_opset(opset: int, axes: list[int] | None, keepdims: int) -> None:
    writer = Writer(opset=opset)
    x = writer.input("x", (2, 3, 4))
    if opset >= 18 and axes is not None:
        y = writer.op("ReduceMean", x, writer.constant(np.array(axes)), name="y", keepdims=keepdims)
    else:
        given = {} if axes is None else {"axes": axes}
        y = writer.op("ReduceMean", x, name="y", keepdims=keepdims, **given)
    assert_agrees(writer.model(y))


def test_add_broadcasts_and_takes_constants() -> None:
    writer = Writer()
    x, row = writer.input("x", (2, 3, 4)), writer.input("row", (4,))
    y = writer.op("Add", writer.op("Add", x, row), writer.constant(writer.normal(3, 1)), name="y")
    assert_agrees(writer.model(y))


def test_elements_move() -> None:
    writer = Writer()
    x = writer.input("x", (1, 2, 3, 4))
    turned = writer.op("Transpose", x, perm=[0, 2, 3, 1])
    backwards = writer.op("Transpose", turned)
    flat = writer.op("Flatten", backwards, axis=2)
    joined = writer.op("Concat", flat, flat, axis=-1)
    squeezed = writer.op("Squeeze", writer.op("Unsqueeze", joined, writer.constant(np.array([0]))))
    assert_agrees(writer.model(writer.op("Identity", squeezed, name="y")))


def test_an_input_may_be_an_output() -> None:
    writer = Writer()
    x = writer.input("x", (2, 2))
    assert_agrees(writer.model(x, writer.op("Relu", x, name="y")))
