"""Pooling, and reductions along axes."""

from collections.abc import Mapping
from typing import Any

from openwork.frontends.torchscript.draft import Draft, Unsupported
from openwork.frontends.torchscript.operators.rule import Call, Rule, Values
from openwork.frontends.torchscript.operators.windows import sizes, window


def _pool(call: Call) -> dict[str, Any]:
    dims = _pooled(call)
    kernel = sizes(call["kernel_size"], dims)
    stride = call["stride"] or kernel  # torch's way of saying the same
    attributes = window(dims, stride, call["padding"], call.arguments.get("dilation", 1))
    if "dilation" not in call.arguments:
        del attributes["dilations"]
    return {"kernel_shape": kernel, "ceil_mode": int(call["ceil_mode"]), **attributes}


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


OPERATORS: Mapping[str, Rule] = {
    "aten::adaptive_avg_pool1d": _adaptive_average_pool,
    "aten::adaptive_avg_pool2d": _adaptive_average_pool,
    "aten::amax": _reduced("ReduceMax"),
    "aten::avg_pool1d": _average_pool,
    "aten::avg_pool2d": _average_pool,
    "aten::max_pool1d": _max_pool,
    "aten::max_pool2d": _max_pool,
    "aten::mean": _reduced("ReduceMean"),
    "aten::sum": _reduced("ReduceSum"),
    "quantized::max_pool2d": _max_pool,
}
