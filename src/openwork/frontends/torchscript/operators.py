"""What each operator of torch is in ONNX: one rule an operator; the table stands at the end.

A rule draws the operator in floats and returns its results. Around it, operands come out of a DequantizeLinear and
results go through a QuantizeLinear, where torch has integers.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from openwork.frontends.torchscript.draft import Draft, Unsupported, quantization_of

Values = Sequence[ir.Value]


@dataclass(frozen=True)
class Traced:
    """A tensor that depends on an input: an example of it, and its reals in the graph."""

    example: torch.Tensor
    value: ir.Value


@dataclass(frozen=True)
class Call:
    """One operator at work.

    kind: `aten::relu`. name: of its layer. result: what torch computed, a tensor or a list of them.
    arguments: by name: `Traced` tensors, constant ones, numbers, lists of those, packed weights, None.
    paths: where arguments that are parameters lie in the module.
    """

    kind: str
    name: str
    arguments: Mapping[str, Any]
    paths: Mapping[str, str]
    result: Any

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def operand(self) -> Any:
        """The first argument."""
        return next(iter(self.arguments.values()))

    @property
    def example(self) -> torch.Tensor:
        """The first argument as torch sees it."""
        operand = self.operand
        assert isinstance(operand, Traced)
        return operand.example

    def value(self, argument: Any, draft: Draft, name: str = "") -> ir.Value:
        """An argument in the graph: a number becomes a constant."""
        if isinstance(argument, Traced):
            return argument.value
        if isinstance(argument, torch.Tensor):
            return draft.tensor(argument, name or f"{self.name}.constant")
        return draft.constant(np.asarray(argument, _numpy(self.result)), name or f"{self.name}.constant")

    def parameter(self, argument: str, draft: Draft) -> ir.Value | None:
        """An optional tensor, called as in the module."""
        tensor = self.arguments[argument]
        if tensor is None:
            return None
        return self.value(tensor, draft, self.paths.get(argument, f"{self.name}.{argument}"))


Rule = Callable[[Call, Draft], Values]


def _numpy(tensor: torch.Tensor) -> np.dtype[Any]:
    """The dtype of a tensor's reals."""
    return np.dtype(np.float32) if tensor.is_quantized else torch.empty(0, dtype=tensor.dtype).numpy().dtype


def _same(call: Call, draft: Draft) -> Values:
    """Nothing is computed."""
    if call.arguments.get("train") or call.arguments.get("training"):
        raise Unsupported("it is in training mode; call .eval() before tracing")
    return [call.value(call.operand, draft)]


def _cast(call: Call, draft: Draft) -> Values:
    if call.result.dtype == call.example.dtype:
        return _same(call, draft)
    dtype = ir.DataType.from_numpy(_numpy(call.result))
    return draft.node("Cast", [call.value(call.operand, draft)], {"to": dtype}, name=call.name)


def _unary(operator: str, **attributes: object) -> Rule:
    def rule(call: Call, draft: Draft) -> Values:
        return draft.node(operator, [call.value(call.operand, draft)], attributes, name=call.name)

    return rule


def _silu(call: Call, draft: Draft) -> Values:
    x = call.value(call.operand, draft)
    gate = draft.node("Sigmoid", [x], name=f"{call.name}.sigmoid")[0]
    return draft.node("Mul", [x, gate], name=call.name)


def _gelu(call: Call, draft: Draft) -> Values:
    return _unary("Gelu", approximate=call["approximate"])(call, draft)


def _leaky_relu(call: Call, draft: Draft) -> Values:
    return _unary("LeakyRelu", alpha=float(call["negative_slope"]))(call, draft)


def _elu(call: Call, draft: Draft) -> Values:
    if call["scale"] != 1 or call["input_scale"] != 1:
        raise Unsupported("its scales are not 1")
    return _unary("Elu", alpha=float(call["alpha"]))(call, draft)


def _prelu(call: Call, draft: Draft) -> Values:
    weight = call["weight"]
    if isinstance(weight, Traced):
        raise Unsupported("its slope is computed")
    slope = weight.reshape(-1, *[1] * (call.example.ndim - 2)) if weight.numel() > 1 else weight
    name = call.paths.get("weight", f"{call.name}.weight")
    return draft.node("PRelu", [call.value(call.operand, draft), draft.tensor(slope, name)], name=call.name)


def _clamped(low: float | None, high: float | None) -> Rule:
    def rule(call: Call, draft: Draft) -> Values:
        bounds = [
            None if bound is None else draft.constant(np.asarray(bound, _numpy(call.result)), f"{call.name}.{which}")
            for which, bound in (("min", low), ("max", high))
        ]
        return draft.node("Clip", [call.value(call.operand, draft), *bounds], name=call.name)

    return rule


def _clamp(call: Call, draft: Draft) -> Values:
    if any(isinstance(call[which], torch.Tensor | Traced) for which in ("min", "max")):
        raise Unsupported("its bounds are tensors")
    return _clamped(call["min"], call["max"])(call, draft)


def _hardtanh(call: Call, draft: Draft) -> Values:
    return _clamped(call["min_val"], call["max_val"])(call, draft)


def _softmax(operator: str) -> Rule:
    def rule(call: Call, draft: Draft) -> Values:
        return _unary(operator, axis=call["dim"])(call, draft)

    return rule


def _binary(operator: str) -> Rule:
    """An operator of two operands, the second perhaps a number, times alpha."""

    def rule(call: Call, draft: Draft) -> Values:
        left, right = list(call.arguments.values())[:2]
        if call.arguments.get("rounding_mode"):
            raise Unsupported(f"it divides with rounding_mode {call['rounding_mode']!r}")
        a, b = call.value(left, draft), call.value(right, draft)
        if call.arguments.get("alpha", 1) != 1:
            alpha = draft.constant(np.asarray(call["alpha"], _numpy(call.result)), f"{call.name}.alpha")
            b = draft.node("Mul", [b, alpha], name=f"{call.name}.scaled")[0]
        return draft.node(operator, [a, b], name=call.name)

    return rule


def _with_relu(rule: Rule) -> Rule:
    def with_relu(call: Call, draft: Draft) -> Values:
        return draft.node("Relu", rule(call, draft), name=f"{call.name}.relu")

    return with_relu


def _convolution(call: Call, draft: Draft) -> Values:
    dims = call.result.ndim - 2
    weight, bias = call.parameter("weight", draft), call.parameter("bias", draft)
    attributes = _window(dims, call["stride"], call["padding"], call["dilation"]) | {"group": call["groups"]}
    if call["padding"] == "same":
        overlaps = [
            step * (size - 1) for step, size in zip(attributes["dilations"], _shape(call["weight"])[2:], strict=True)
        ]
        attributes["pads"] = [overlap // 2 for overlap in overlaps] + [overlap - overlap // 2 for overlap in overlaps]
    operator = "Conv"
    if call.arguments.get("transposed") or "conv_transpose" in call.kind:
        operator, attributes = "ConvTranspose", attributes | {"output_padding": _sizes(call["output_padding"], dims)}
    return draft.node(operator, [call.value(call.operand, draft), weight, bias], attributes, name=call.name)


def _shape(tensor: Any) -> Sequence[int]:
    return (tensor.example if isinstance(tensor, Traced) else tensor).shape


def _window(dims: int, stride: Any, padding: Any, dilation: Any) -> dict[str, Any]:
    """Padding given as a word is left 0."""
    pads = [0] * dims if isinstance(padding, str) else _sizes(padding, dims)
    return {"strides": _sizes(stride, dims), "pads": pads * 2, "dilations": _sizes(dilation, dims)}


def _sizes(given: Any, dims: int) -> list[int]:
    """One number for each dimension; torch writes a one-dimensional window with two, and one for all."""
    sizes = [int(each) for each in given] if isinstance(given, list | tuple) else [int(given)]
    return sizes * dims if len(sizes) == 1 else sizes[-dims:]


def _quantized_convolution(call: Call, draft: Draft) -> Values:
    """A convolution on packed weights."""
    dims = call.result.ndim - 2
    packed, ops = call["packed_weight"], torch.ops.quantized
    transposed = "conv_transpose" in call.kind
    name = f"conv_transpose{dims}d" if transposed else f"conv{dims}d"
    weight, bias = getattr(ops, f"{name}_unpack")(packed)
    held = f"{name[:-2]}{max(dims, 2)}d"  # one dimension is packed as two
    stride, padding, dilation = (getattr(ops, f"{held}_{what}")(packed) for what in ("stride", "padding", "dilation"))
    attributes = _window(dims, stride, padding, dilation) | {"group": getattr(ops, f"{held}_groups")(packed)}
    if transposed:
        attributes |= {"output_padding": _sizes(getattr(ops, f"{held}_output_padding")(packed), dims)}
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
    return _reshaped(draft.quantized_as(y[0], call.result), call, draft, name=f"{call.name}.parted")


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


def _pool(call: Call) -> dict[str, Any]:
    dims = _pooled(call)
    kernel = _sizes(call["kernel_size"], dims)
    stride = call["stride"] or kernel  # torch's way of saying the same
    window = _window(dims, stride, call["padding"], call.arguments.get("dilation", 1))
    if "dilation" not in call.arguments:
        del window["dilations"]
    return {"kernel_shape": kernel, "ceil_mode": int(call["ceil_mode"]), **window}


def _pooled(call: Call) -> int:
    """Over how many dimensions an operator pools, as its name tells. ONNX needs images in a batch."""
    dims = int(call.kind[-2])
    if call.example.ndim != dims + 2:
        raise Unsupported("its input has no batch; give it one")
    return dims


def _max_pool(call: Call, draft: Draft) -> Values:
    return draft.node("MaxPool", [call.value(call.operand, draft)], _pool(call), name=call.name)


def _average_pool(call: Call, draft: Draft) -> Values:
    if call.arguments.get("divisor_override") is not None:
        raise Unsupported("divisor_override is set")
    attributes = _pool(call) | {"count_include_pad": int(call["count_include_pad"])}
    return draft.node("AveragePool", [call.value(call.operand, draft)], attributes, name=call.name)


def _adaptive_average_pool(call: Call, draft: Draft) -> Values:
    dims = _pooled(call)
    before, after = call.example.shape[-dims:], call.result.shape[-dims:]
    x = call.value(call.operand, draft)
    if before == after:
        return [x]
    if all(size == 1 for size in after):
        return draft.node("GlobalAveragePool", [x], name=call.name)
    if any(one % other for one, other in zip(before, after, strict=True)):
        raise Unsupported(f"from {tuple(before)} to {tuple(after)} its windows differ in size; choose a divisor")
    kernel = [one // other for one, other in zip(before, after, strict=True)]
    return draft.node("AveragePool", [x], {"kernel_shape": kernel, "strides": kernel}, name=call.name)


def _reduced(operator: str) -> Rule:
    def rule(call: Call, draft: Draft) -> Values:
        if call.example.dtype != call.result.dtype:
            raise Unsupported(f"it changes {call.example.dtype} to {call.result.dtype}")
        axes = call.arguments.get("dim")
        if axes is None or axes == []:
            axes = range(call.example.ndim)
        numbers = draft.integers([axes] if isinstance(axes, int) else axes, f"{call.name}.axes")
        keep = {"keepdims": int(call.arguments.get("keepdim", False))}
        return draft.node(operator, [call.value(call.operand, draft), numbers], keep, name=call.name)

    return rule


def _reshape(call: Call, draft: Draft) -> Values:
    return _reshaped(call.value(call.operand, draft), call, draft, name=call.name)


def _reshaped(x: ir.Value, call: Call, draft: Draft, *, name: str) -> Values:
    return draft.node("Reshape", [x, draft.integers(call.result.shape, f"{name}.shape")], name=name)


def _expand(call: Call, draft: Draft) -> Values:
    shape = draft.integers(call.result.shape, f"{call.name}.shape")
    return draft.node("Expand", [call.value(call.operand, draft), shape], name=call.name)


def _permute(call: Call, draft: Draft) -> Values:
    return _permuted([axis % call.example.ndim for axis in call["dims"]], call, draft)


def _transpose(call: Call, draft: Draft) -> Values:
    axes = list(range(call.example.ndim))
    one, other = call["dim0"], call["dim1"]
    axes[one], axes[other] = axes[other], axes[one]
    return _permuted(axes, call, draft)


def _matrix_transpose(call: Call, draft: Draft) -> Values:
    return _permuted(list(range(call.example.ndim))[::-1], call, draft)


def _permuted(axes: Sequence[int], call: Call, draft: Draft) -> Values:
    return draft.node("Transpose", [call.value(call.operand, draft)], {"perm": axes}, name=call.name)


def _slice(call: Call, draft: Draft) -> Values:
    start, end = call["start"] or 0, call["end"]
    numbers = [start, sys.maxsize if end is None else end, call["dim"], call["step"]]
    inputs = [draft.integers([number], f"{call.name}.slice") for number in numbers]
    return draft.node("Slice", [call.value(call.operand, draft), *inputs], name=call.name)


def _select(call: Call, draft: Draft) -> Values:
    index = draft.constant(np.asarray(call["index"], np.int64), f"{call.name}.index")
    return draft.node("Gather", [call.value(call.operand, draft), index], {"axis": call["dim"]}, name=call.name)


def _split(call: Call, draft: Draft) -> Values:
    sizes = draft.integers([part.shape[call["dim"]] for part in call.result], f"{call.name}.sizes")
    inputs = [call.value(call.operand, draft), sizes]
    return draft.node("Split", inputs, {"axis": call["dim"]}, name=call.name, outputs=len(call.result))


def _concat(call: Call, draft: Draft) -> Values:
    parts = [call.value(part, draft) for part in call.operand]
    return draft.node("Concat", parts, {"axis": call["dim"]}, name=call.name)


def _pad(call: Call, draft: Draft) -> Values:
    if call.arguments.get("mode", "constant") != "constant":
        raise Unsupported(f"its mode is {call['mode']!r}")
    pairs = list(zip(call["pad"][::2], call["pad"][1::2], strict=True))  # of the last axis first
    rest = [(0, 0)] * (call.example.ndim - len(pairs))
    before, after = zip(*rest, *reversed(pairs), strict=True)
    pads = draft.integers(before + after, f"{call.name}.pads")
    fill = draft.constant(np.asarray(call["value"] or 0, _numpy(call.result)), f"{call.name}.value")
    return draft.node("Pad", [call.value(call.operand, draft), pads, fill], name=call.name)


def _upsample(**attributes: object) -> Rule:
    def rule(call: Call, draft: Draft) -> Values:
        how = attributes
        if call.arguments.get("align_corners"):
            how = attributes | {"coordinate_transformation_mode": "align_corners"}
        sizes = draft.integers(call.result.shape, f"{call.name}.sizes")
        return draft.node("Resize", [call.value(call.operand, draft), None, None, sizes], how, name=call.name)

    return rule


def _embedding(call: Call, draft: Draft) -> Values:
    weight = call.parameter("weight", draft)
    return draft.node("Gather", [weight, call.value(call["indices"], draft)], name=call.name)


_NEAREST = _upsample(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
_LINEAR = _upsample(mode="linear", coordinate_transformation_mode="half_pixel")

_SAME = ("alias", "clone", "contiguous", "dequantize", "detach", "dropout", "feature_dropout", "quantize_per_tensor")
_RESHAPES = ("flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view")
_UNARY = {
    "abs": "Abs", "ceil": "Ceil", "cos": "Cos", "erf": "Erf", "exp": "Exp", "floor": "Floor", "log": "Log",
    "neg": "Neg", "reciprocal": "Reciprocal", "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid", "sin": "Sin",
    "sqrt": "Sqrt", "tanh": "Tanh",
}  # fmt: skip

_ATEN: Mapping[str, Rule] = {
    **dict.fromkeys(_SAME, _same),
    **dict.fromkeys(_RESHAPES, _reshape),
    **{name: _unary(operator) for name, operator in _UNARY.items()},
    "_convolution": _convolution,
    "_convolution_mode": _convolution,
    "adaptive_avg_pool1d": _adaptive_average_pool,
    "adaptive_avg_pool2d": _adaptive_average_pool,
    "add": _binary("Add"),
    "addmm": _addmm,
    "amax": _reduced("ReduceMax"),
    "avg_pool1d": _average_pool,
    "avg_pool2d": _average_pool,
    "batch_norm": _batch_norm,
    "bmm": _matmul,
    "cat": _concat,
    "chunk": _split,
    "clamp": _clamp,
    "constant_pad_nd": _pad,
    "conv1d": _convolution,
    "conv2d": _convolution,
    "conv3d": _convolution,
    "div": _binary("Div"),
    "elu": _elu,
    "embedding": _embedding,
    "expand": _expand,
    "gelu": _gelu,
    "hardsigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hardswish": _unary("HardSwish"),
    "hardtanh": _hardtanh,
    "layer_norm": _layer_norm,
    "leaky_relu": _leaky_relu,
    "linear": _linear,
    "log_softmax": _softmax("LogSoftmax"),
    "matmul": _matmul,
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "mean": _reduced("ReduceMean"),
    "mul": _binary("Mul"),
    "pad": _pad,
    "permute": _permute,
    "prelu": _prelu,
    "relu6": _clamped(0, 6),
    "select": _select,
    "silu": _silu,
    "slice": _slice,
    "softmax": _softmax("Softmax"),
    "split": _split,
    "split_with_sizes": _split,
    "sub": _binary("Sub"),
    "sum": _reduced("ReduceSum"),
    "t": _matrix_transpose,
    "to": _cast,
    "transpose": _transpose,
    "upsample_bilinear2d": _LINEAR,
    "upsample_nearest2d": _NEAREST,
}

_QUANTIZED: Mapping[str, Rule] = {
    "add": _binary("Add"),
    "add_relu": _with_relu(_binary("Add")),
    "add_scalar": _binary("Add"),
    "add_scalar_relu": _with_relu(_binary("Add")),
    "batch_norm": _batch_norm,
    "batch_norm1d": _batch_norm,
    "batch_norm1d_relu": _with_relu(_batch_norm),
    "batch_norm2d": _batch_norm,
    "batch_norm2d_relu": _with_relu(_batch_norm),
    "batch_norm_relu": _with_relu(_batch_norm),
    "cat": _concat,
    "cat_relu": _with_relu(_concat),
    "conv1d": _quantized_convolution,
    "conv1d_relu": _with_relu(_quantized_convolution),
    "conv2d": _quantized_convolution,
    "conv2d_relu": _with_relu(_quantized_convolution),
    "conv_transpose1d": _quantized_convolution,
    "conv_transpose2d": _quantized_convolution,
    "dropout": _same,
    "elu": _elu,
    "hardswish": _unary("HardSwish"),
    "layer_norm": _layer_norm,
    "leaky_relu": _leaky_relu,
    "linear": _quantized_linear,
    "linear_relu": _quantized_linear,
    "matmul": _matmul,
    "max_pool2d": _max_pool,
    "mul": _binary("Mul"),
    "mul_relu": _with_relu(_binary("Mul")),
    "mul_scalar": _binary("Mul"),
    "mul_scalar_relu": _with_relu(_binary("Mul")),
    "prelu": _prelu,
    "relu6": _clamped(0, 6),
    "sigmoid": _unary("Sigmoid"),
    "softmax": _softmax("Softmax"),
}

# Every operator of torch that is taken.
OPERATORS: Mapping[str, Rule] = {
    **{f"aten::{name}": rule for name, rule in _ATEN.items()},
    **{f"quantized::{name}": rule for name, rule in _QUANTIZED.items()},
}
