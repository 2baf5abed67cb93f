"""Operators that compute each element by itself, or along one axis."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
import torch

from openwork.frontends.torchscript.draft import Draft, Unsupported
from openwork.frontends.torchscript.operators.rule import Call, Rule, Traced, Values, dtype_of, with_relu


def _same(call: Call, draft: Draft) -> Values:
    """Nothing is computed."""
    if call.arguments.get("train") or call.arguments.get("training"):
        raise Unsupported("it is in training mode; call .eval() before tracing")
    return [call.value(call.operand, draft)]


def _cast(call: Call, draft: Draft) -> Values:
    if call.result.dtype == call.example.dtype:
        return _same(call, draft)
    dtype = ir.DataType.from_numpy(dtype_of(call.result))
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
            None if bound is None else draft.constant(np.asarray(bound, dtype_of(call.result)), f"{call.name}.{which}")
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
            alpha = draft.constant(np.asarray(call["alpha"], dtype_of(call.result)), f"{call.name}.alpha")
            b = draft.node("Mul", [b, alpha], name=f"{call.name}.scaled")[0]
        return draft.node(operator, [a, b], name=call.name)

    return rule


_SAME = ("alias", "clone", "contiguous", "dequantize", "detach", "dropout", "feature_dropout", "quantize_per_tensor")
_UNARY = {
    "abs": "Abs", "ceil": "Ceil", "cos": "Cos", "erf": "Erf", "exp": "Exp", "floor": "Floor", "log": "Log",
    "neg": "Neg", "reciprocal": "Reciprocal", "relu": "Relu", "round": "Round", "sigmoid": "Sigmoid", "sin": "Sin",
    "sqrt": "Sqrt", "tanh": "Tanh",
}  # fmt: skip

OPERATORS: Mapping[str, Rule] = {
    **{f"aten::{name}": _same for name in _SAME},
    **{f"aten::{name}": _unary(operator) for name, operator in _UNARY.items()},
    "aten::add": _binary("Add"),
    "aten::clamp": _clamp,
    "aten::div": _binary("Div"),
    "aten::elu": _elu,
    "aten::gelu": _gelu,
    "aten::hardsigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "aten::hardswish": _unary("HardSwish"),
    "aten::hardtanh": _hardtanh,
    "aten::leaky_relu": _leaky_relu,
    "aten::log_softmax": _softmax("LogSoftmax"),
    "aten::mul": _binary("Mul"),
    "aten::prelu": _prelu,
    "aten::relu6": _clamped(0, 6),
    "aten::silu": _silu,
    "aten::softmax": _softmax("Softmax"),
    "aten::sub": _binary("Sub"),
    "aten::to": _cast,
    "quantized::add": _binary("Add"),
    "quantized::add_relu": with_relu(_binary("Add")),
    "quantized::add_scalar": _binary("Add"),
    "quantized::add_scalar_relu": with_relu(_binary("Add")),
    "quantized::dropout": _same,
    "quantized::elu": _elu,
    "quantized::hardswish": _unary("HardSwish"),
    "quantized::leaky_relu": _leaky_relu,
    "quantized::mul": _binary("Mul"),
    "quantized::mul_relu": with_relu(_binary("Mul")),
    "quantized::mul_scalar": _binary("Mul"),
    "quantized::mul_scalar_relu": with_relu(_binary("Mul")),
    "quantized::prelu": _prelu,
    "quantized::relu6": _clamped(0, 6),
    "quantized::sigmoid": _unary("Sigmoid"),
    "quantized::softmax": _softmax("Softmax"),
}
