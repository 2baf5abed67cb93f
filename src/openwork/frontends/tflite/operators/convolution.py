"""Convolutions, fully connected layers, matrix products."""

from collections.abc import Mapping

import onnx_ir as ir

from openwork.frontends.tflite.draft import TO_NCHW, TO_NHWC, Draft, Layout, Unsupported
from openwork.frontends.tflite.network import Operator
from openwork.frontends.tflite.operators.rule import Rule, activated
from openwork.frontends.tflite.operators.windows import pads_of, strides_of

# Weights [out, height, width, in], [1, height, width, channels] and, transposed, [out, height, width, in].
_OHWI_TO_OIHW: Layout = (0, 3, 1, 2)
_1HWC_TO_C1HW: Layout = (3, 0, 1, 2)
_OHWI_TO_IOHW: Layout = (3, 0, 1, 2)


def _conv_2d(op: Operator, draft: Draft) -> None:
    channels, weight = draft.tensor(op, 0, rank=4).shape[3], draft.tensor(op, 1, rank=4).shape
    if channels % weight[3]:
        raise Unsupported(f"its weight takes {weight[3]} channels, its input has {channels}")
    _convolve(op, draft, _OHWI_TO_OIHW, weight[1:3], groups=channels // weight[3])


def _depthwise_conv_2d(op: Operator, draft: Draft) -> None:
    channels, weight = draft.tensor(op, 0, rank=4).shape[3], draft.tensor(op, 1, rank=4).shape
    _convolve(op, draft, _1HWC_TO_C1HW, weight[1:3], groups=channels)


def _convolve(op: Operator, draft: Draft, layout: Layout, kernel: tuple[int, ...], groups: int) -> None:
    strides = strides_of(op)
    dilations = (op.option("DilationHFactor"), op.option("DilationWFactor"))
    if min(dilations) < 1:
        raise Unsupported(f"dilations {dilations}")
    size = draft.tensor(op, 0).shape[1:3]
    y = draft.emit(
        "Conv",
        draft.real(op, 0, TO_NCHW),
        draft.real(op, 1, layout),
        draft.bias(op, 2),
        kernel_shape=kernel,
        strides=strides,
        pads=pads_of(op, size, kernel, strides, dilations),
        dilations=dilations,
        group=groups,
    )
    draft.write(op, activated(op, draft, y), TO_NHWC)


def _transpose_conv(op: Operator, draft: Draft) -> None:
    """Inputs: the output's shape, the weight, x, and a bias. The output's shape decides how much is cut off."""
    x, weight, y = draft.tensor(op, 2, rank=4), draft.tensor(op, 1, rank=4), draft.result(op, rank=4)
    strides, kernel, size = strides_of(op), weight.shape[1:3], y.shape[1:3]
    full = [(x.shape[1 + axis] - 1) * strides[axis] + kernel[axis] for axis in (0, 1)]
    before = pads_of(op, size, kernel, strides, (1, 1))[:2]
    after = [full[axis] - size[axis] - before[axis] for axis in (0, 1)]
    value = draft.emit(
        "ConvTranspose",
        draft.real(op, 2, TO_NCHW),
        draft.real(op, 1, _OHWI_TO_IOHW),
        _bias_of_transposed(op, draft),
        kernel_shape=kernel,
        strides=strides,
        pads=[*before, *(max(cut, 0) for cut in after)],
        output_padding=[max(-cut, 0) for cut in after],
    )
    draft.write(op, activated(op, draft, value), TO_NHWC)


def _bias_of_transposed(op: Operator, draft: Draft) -> ir.Value | None:
    """The bias of a TRANSPOSE_CONV, whose x is its third input."""
    ordered = Operator(op.name, op.label, (op.inputs[2], op.inputs[1], *op.inputs[3:]), op.outputs, op.options)
    return draft.bias(ordered, 2)


def _fully_connected(op: Operator, draft: Draft) -> None:
    """The weight is [out, in]; x of any rank is a matrix of rows of `in` elements."""
    if op.option("WeightsFormat", 0):
        raise Unsupported("its weight is stored in a shuffled format")
    x, features = draft.tensor(op, 0), draft.tensor(op, 1, rank=2).shape[1]
    if x.shape[1:] == (features,):
        value = draft.real(op, 0)
    else:
        value = draft.dequantized(op, 0, draft.shaped(draft.stored(op, 0), (-1, features)))
    value = draft.emit("Gemm", value, draft.real(op, 1), draft.bias(op, 2), transB=1)
    value = activated(op, draft, value)
    if len(draft.result(op).shape) == 2:
        draft.write(op, value)
    else:
        draft.write_shaped(op, value)


def _batch_matmul(op: Operator, draft: Draft) -> None:
    left = _matrices(op, draft, 0, bool(op.option("AdjX", False)))
    right = _matrices(op, draft, 1, bool(op.option("AdjY", False)))
    draft.write(op, draft.emit("MatMul", left, right))


def _matrices(op: Operator, draft: Draft, index: int, transposed: bool) -> ir.Value:
    rank = len(draft.tensor(op, index).shape)
    return draft.real(op, index, (*range(rank - 2), rank - 1, rank - 2) if transposed else None)


OPERATORS: Mapping[str, Rule] = {
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "TRANSPOSE_CONV": _transpose_conv,
}
