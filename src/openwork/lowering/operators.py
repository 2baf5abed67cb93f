"""How each operator of ONNX becomes a step: one rule an operator; the table stands at the end.

A rule reads a node and returns its step, or None where the result is one more constant of the draft. It raises
`Unsupported` with the reason where it can do neither.
"""

from collections.abc import Callable, Mapping, Sequence
from math import inf

import numpy as np
import onnx_ir as ir

from openwork.graph import static_shape
from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.program import (
    Add,
    AveragePool,
    Bounds,
    Clip,
    Concat,
    Conv,
    FullyConnected,
    MaxPool,
    Mean,
    Reshape,
    Softmax,
    Step,
    Transpose,
)
from openwork.lowering.quantization import dequantize, quantize
from openwork.lowering.windows import window_of

Rule = Callable[[ir.Node, Draft], Step | None]


def _conv(node: ir.Node, draft: Draft) -> Conv:
    weight = draft.constant_of(node, 1, "weight")
    window = window_of(node, draft.constants[weight].shape[2:])
    return Conv(
        _name(node),
        input_name(node),
        output_name(node),
        weight,
        draft.optional_constant_of(node, 2, "bias"),
        window.strides,
        window.pads,
        window.dilations,
        groups=node.attributes.get_int("group", 1),
    )


def _gemm(node: ir.Node, draft: Draft) -> FullyConnected:
    if node.attributes.get_int("transA", 0):
        raise Unsupported("transA is set")
    weight = draft.constant_of(node, 1, "matrix B")
    if not node.attributes.get_int("transB", 0):
        weight = draft.add_transposed(weight)
    alpha, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    if alpha != 1:
        weight = draft.add_constant(f"{weight}/alpha", np.float32(alpha) * draft.constants[weight])
    bias = draft.optional_constant_of(node, 2, "matrix C")
    if bias is not None:
        bias = _row_bias(bias, beta, len(draft.constants[weight]), draft)
    return FullyConnected(_name(node), input_name(node), output_name(node), weight, bias)


def _row_bias(name: str, beta: float, channels: int, draft: Draft) -> str:
    """beta * C as one value per output channel."""
    array = draft.constants[name]
    if array.shape == (channels,) and beta == 1:
        return name
    if array.size not in (1, channels) or (array.size > 1 and array.shape[-1] != channels):
        raise Unsupported(f"its matrix C of shape {array.shape} is not one value per output channel")
    return draft.add_constant(f"{name}/row", np.full(channels, np.float32(beta) * array.reshape(-1)))


def _matmul(node: ir.Node, draft: Draft) -> FullyConnected:
    weight = draft.constant_of(node, 1, "right side")
    if draft.constants[weight].ndim != 2:
        raise Unsupported(f"its right side has {draft.constants[weight].ndim} dimensions; openwork takes 2")
    return FullyConnected(_name(node), input_name(node), output_name(node), draft.add_transposed(weight), None)


def _relu(node: ir.Node, draft: Draft) -> Clip:
    return Clip(_name(node), input_name(node), output_name(node), Bounds(0.0, inf))


def _clip(node: ir.Node, draft: Draft) -> Clip:
    bounds = Bounds(_limit(node, 1, "min", -inf, draft), _limit(node, 2, "max", inf, draft))
    return Clip(_name(node), input_name(node), output_name(node), bounds)


def _limit(node: ir.Node, index: int, attribute: str, missing: float, draft: Draft) -> float:
    """An input since opset 11, an attribute before."""
    name = draft.optional_constant_of(node, index, attribute)
    if name is None:
        return node.attributes.get_float(attribute, missing)
    return float(draft.constants[name].reshape(()))


def _add(node: ir.Node, draft: Draft) -> Add:
    return Add(_name(node), (input_name(node, 0), input_name(node, 1)), output_name(node))


def _max_pool(node: ir.Node, draft: Draft) -> MaxPool:
    if node.attributes.get_int("storage_order", 0):
        raise Unsupported("storage_order is set")
    window = window_of(node, node.attributes["kernel_shape"].as_ints())
    return MaxPool(
        _name(node),
        input_name(node),
        output_name(node),
        window.kernel,
        window.strides,
        window.pads,
        window.dilations,
    )


def _average_pool(node: ir.Node, draft: Draft) -> AveragePool:
    window = window_of(node, node.attributes["kernel_shape"].as_ints())
    if any(dilation != 1 for dilation in window.dilations):
        raise Unsupported("dilations other than 1")
    include_pad = bool(node.attributes.get_int("count_include_pad", 0))
    if include_pad and node.attributes.get_int("ceil_mode"):
        raise Unsupported("count_include_pad together with ceil_mode")
    return AveragePool(
        _name(node),
        input_name(node),
        output_name(node),
        window.kernel,
        window.strides,
        window.pads,
        include_pad,
    )


def _global_average_pool(node: ir.Node, draft: Draft) -> Mean:
    return Mean(_name(node), input_name(node), output_name(node), tuple(range(2, _rank(node))))


def _reduce_mean(node: ir.Node, draft: Draft) -> Mean | Reshape:
    """Axes are an input since opset 18, an attribute before; none at all means every axis, or no mean."""
    name = draft.optional_constant_of(node, 1, "axes")
    given = node.attributes.get_ints("axes", []) if name is None else draft.constants[name].tolist()
    if not given and node.attributes.get_int("noop_with_empty_axes"):
        return _reshape(node, draft)
    rank = _rank(node)
    axes = sorted({axis % rank for axis in given}) or range(rank)
    return Mean(_name(node), input_name(node), output_name(node), tuple(axes))


def _softmax(node: ir.Node, draft: Draft) -> Softmax:
    rank = _rank(node)
    axis = node.attributes.get_int("axis", -1 if draft.opset >= 13 else 1) % rank
    if draft.opset < 13 and axis != rank - 1:
        raise Unsupported(f"before opset 13 its axis {axis} means all axes from there on; convert the model")
    return Softmax(_name(node), input_name(node), output_name(node), axis)


def _concat(node: ir.Node, draft: Draft) -> Concat:
    inputs = tuple(input_name(node, index) for index in range(len(node.inputs)))
    return Concat(_name(node), inputs, output_name(node), node.attributes["axis"].as_int() % _rank(node))


def _transpose(node: ir.Node, draft: Draft) -> Transpose:
    reversed_axes = range(_rank(node))[::-1]
    return Transpose(
        _name(node),
        input_name(node),
        output_name(node),
        tuple(node.attributes.get_ints("perm", reversed_axes)),
    )


def _reshape(node: ir.Node, draft: Draft) -> Reshape:
    return Reshape(_name(node), input_name(node), output_name(node))


def _name(node: ir.Node) -> str:
    return node.name or ""


def _rank(node: ir.Node) -> int:
    value = node.inputs[0]
    assert value is not None
    return len(static_shape(value))


FLOAT = ("float32",)
FLOAT_OR_BYTES = ("float32", "int8", "uint8")

# Each operator that openwork takes: the rule that lowers it, and the types its activations may have.
OPERATORS: Mapping[str, tuple[Rule, Sequence[str]]] = {
    "Add": (_add, FLOAT),
    "AveragePool": (_average_pool, FLOAT),
    "Clip": (_clip, FLOAT),
    "Concat": (_concat, FLOAT_OR_BYTES),
    "Conv": (_conv, FLOAT),
    "DequantizeLinear": (dequantize, FLOAT_OR_BYTES),
    "Flatten": (_reshape, FLOAT_OR_BYTES),
    "Gemm": (_gemm, FLOAT),
    "GlobalAveragePool": (_global_average_pool, FLOAT),
    "Identity": (_reshape, FLOAT_OR_BYTES),
    "MatMul": (_matmul, FLOAT),
    "MaxPool": (_max_pool, FLOAT_OR_BYTES),
    "QuantizeLinear": (quantize, FLOAT_OR_BYTES),
    "ReduceMean": (_reduce_mean, FLOAT),
    "Relu": (_relu, FLOAT),
    "Reshape": (_reshape, FLOAT_OR_BYTES),
    "Softmax": (_softmax, FLOAT),
    "Squeeze": (_reshape, FLOAT_OR_BYTES),
    "Transpose": (_transpose, FLOAT_OR_BYTES),
    "Unsqueeze": (_reshape, FLOAT_OR_BYTES),
}
