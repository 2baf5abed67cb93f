"""Operators with weights, products of matrices, and normalizations."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from openwork.frontends.torchscript.draft import Draft, Unsupported, quantization_of
from openwork.frontends.torchscript.operators.rule import Call, Rule, Traced, Values, reshaped, with_relu
from openwork.frontends.torchscript.operators.windows import sizes, window


def _convolution(call: Call, draft: Draft) -> Values:
    dims = call.result.ndim - 2
    weight, bias = call.parameter("weight", draft), call.parameter("bias", draft)
    attributes = window(dims, call["stride"], call["padding"], call["dilation"]) | {"group": call["groups"]}
    if call["padding"] == "same":
        overlaps = [
            step * (size - 1) for step, size in zip(attributes["dilations"], _shape(call["weight"])[2:], strict=True)
        ]
        attributes["pads"] = [overlap // 2 for overlap in overlaps] + [overlap - overlap // 2 for overlap in overlaps]
    operator = "Conv"
    if call.arguments.get("transposed") or "conv_transpose" in call.kind:
        operator, attributes = "ConvTranspose", attributes | {"output_padding": sizes(call["output_padding"], dims)}
    return draft.node(operator, [call.value(call.operand, draft), weight, bias], attributes, name=call.name)


def _shape(tensor: Any) -> Sequence[int]:
    return (tensor.example if isinstance(tensor, Traced) else tensor).shape


def _quantized_convolution(call: Call, draft: Draft) -> Values:
    """A convolution on packed weights."""
    dims = call.result.ndim - 2
    packed, ops = call["packed_weight"], torch.ops.quantized
    transposed = "conv_transpose" in call.kind
    name = f"conv_transpose{dims}d" if transposed else f"conv{dims}d"
    weight, bias = getattr(ops, f"{name}_unpack")(packed)
    held = f"{name[:-2]}{max(dims, 2)}d"  # one dimension is packed as two
    stride, padding, dilation = (getattr(ops, f"{held}_{what}")(packed) for what in ("stride", "padding", "dilation"))
    attributes = window(dims, stride, padding, dilation) | {"group": getattr(ops, f"{held}_groups")(packed)}
    if transposed:
        attributes |= {"output_padding": sizes(getattr(ops, f"{held}_output_padding")(packed), dims)}
    inputs = [call.value(call.operand, draft), *_weight_and_bias(call, draft, weight, bias)]
    return draft.node("ConvTranspose" if transposed else "Conv", inputs, attributes, name=call.name)


def _weight_and_bias(
    call: Call, draft: Draft, weight: torch.Tensor, bias: torch.Tensor | None
) -> tuple[ir.Value, ir.Value | None]:
    """Integer weights as they are, and a bias in units of input scale * weight scale."""
    real = draft.tensor(weight, f"{call.name}.weight")
    if bias is None:
        return real, None
    floats = bias.detach().numpy()
    scale = np.float32(call.example.q_scale()) * quantization_of(weight)[0]
    integers = np.rint(floats.astype(np.float64) / scale)
    name = f"{call.name}.bias"
    if not (np.abs(integers) < 2**31).all():
        return real, draft.constant(floats, name)
    scales = np.broadcast_to(scale, floats.shape)
    zeros = np.zeros(floats.shape, np.int32)
    return real, draft.dequantize(integers.astype(np.int32), scales, zeros, 0, name)


def _quantized_linear(call: Call, draft: Draft) -> Values:
    """A fully connected layer on packed weights; more dimensions than two are joined around it."""
    weight, bias = torch.ops.quantized.linear_unpack(call["W_prepack"])
    x, example = call.value(call.operand, draft), call.example
    if example.ndim != 2:
        rows = draft.integers([-1, example.shape[-1]], f"{call.name}.rows")
        x = draft.quantized_as(draft.node("Reshape", [x, rows], name=f"{call.name}.joined")[0], example)
    inputs = [x, *_weight_and_bias(call, draft, weight, bias)]
    y = draft.node("Gemm", inputs, {"transB": 1}, name=call.name)
    if call.kind.endswith("_relu"):
        y = draft.node("Relu", y, name=f"{call.name}.relu")
    if example.ndim == 2:
        return y
    return reshaped(draft.quantized_as(y[0], call.result), call, draft, name=f"{call.name}.parted")


def _linear(call: Call, draft: Draft) -> Values:
    x, weight = call.value(call.operand, draft), call["weight"]
    if isinstance(weight, Traced):
        raise Unsupported("its weight is computed")
    name, bias = call.paths.get("weight", f"{call.name}.weight"), call.parameter("bias", draft)
    if call.example.ndim == 2:
        return draft.node("Gemm", [x, draft.tensor(weight, name), bias], {"transB": 1}, name=call.name)
    product = draft.node("MatMul", [x, draft.tensor(weight.t(), name)], name=call.name)
    return product if bias is None else draft.node("Add", [product[0], bias], name=f"{call.name}.sum")


def _addmm(call: Call, draft: Draft) -> Values:
    inputs = [call.value(call["mat1"], draft), call.parameter("mat2", draft), call.parameter("self", draft)]
    scales = {"alpha": float(call["alpha"]), "beta": float(call["beta"])}
    return draft.node("Gemm", inputs, scales, name=call.name)


def _matmul(call: Call, draft: Draft) -> Values:
    left, right = call.arguments
    inputs = [call.parameter(left, draft), call.parameter(right, draft)]
    return draft.node("MatMul", inputs, name=call.name)


def _batch_norm(call: Call, draft: Draft) -> Values:
    if call.arguments.get("training"):
        raise Unsupported("it is in training mode; call .eval() before tracing")
    names = ("mean", "var") if "mean" in call.arguments else ("running_mean", "running_var")
    mean, variance = (call.parameter(name, draft) for name in names)
    if mean is None or variance is None:
        raise Unsupported("it has no running statistics; track them")
    ones, zeros = np.ones(call.example.shape[1], np.float32), np.zeros(call.example.shape[1], np.float32)
    scale = call.parameter("weight", draft) or draft.constant(ones, f"{call.name}.weight")
    shift = call.parameter("bias", draft) or draft.constant(zeros, f"{call.name}.bias")
    inputs = [call.value(call.operand, draft), scale, shift, mean, variance]
    return draft.node("BatchNormalization", inputs, {"epsilon": call["eps"]}, name=call.name)


def _layer_norm(call: Call, draft: Draft) -> Values:
    shape = call["normalized_shape"]
    scale = call.parameter("weight", draft) or draft.constant(np.ones(shape, np.float32), f"{call.name}.weight")
    inputs = [call.value(call.operand, draft), scale, call.parameter("bias", draft)]
    attributes = {"axis": -len(shape), "epsilon": call["eps"]}
    return draft.node("LayerNormalization", inputs, attributes, name=call.name)


def _embedding(call: Call, draft: Draft) -> Values:
    weight = call.parameter("weight", draft)
    return draft.node("Gather", [weight, call.value(call["indices"], draft)], name=call.name)


OPERATORS: Mapping[str, Rule] = {
    "aten::_convolution": _convolution,
    "aten::_convolution_mode": _convolution,
    "aten::addmm": _addmm,
    "aten::batch_norm": _batch_norm,
    "aten::bmm": _matmul,
    "aten::conv1d": _convolution,
    "aten::conv2d": _convolution,
    "aten::conv3d": _convolution,
    "aten::embedding": _embedding,
    "aten::layer_norm": _layer_norm,
    "aten::linear": _linear,
    "aten::matmul": _matmul,
    "quantized::batch_norm": _batch_norm,
    "quantized::batch_norm1d": _batch_norm,
    "quantized::batch_norm1d_relu": with_relu(_batch_norm),
    "quantized::batch_norm2d": _batch_norm,
    "quantized::batch_norm2d_relu": with_relu(_batch_norm),
    "quantized::batch_norm_relu": with_relu(_batch_norm),
    "quantized::conv1d": _quantized_convolution,
    "quantized::conv1d_relu": with_relu(_quantized_convolution),
    "quantized::conv2d": _quantized_convolution,
    "quantized::conv2d_relu": with_relu(_quantized_convolution),
    "quantized::conv_transpose1d": _quantized_convolution,
    "quantized::conv_transpose2d": _quantized_convolution,
    "quantized::layer_norm": _layer_norm,
    "quantized::linear": _quantized_linear,
    "quantized::linear_relu": _quantized_linear,
    "quantized::matmul": _matmul,
}
