"""QuantizeLinear and DequantizeLinear: steps on activations, more constants on constants."""

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import QuantParams, static_shape
from openwork.lowering.draft import Draft, Quantized, Unsupported, input_name, output_name
from openwork.lowering.functions import BinaryFunction
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.rule import BYTES, Operator, node_name, rank_of
from openwork.lowering.steps import Dequantize, Quantize, Step


def _quantize(node: ir.Node, draft: Draft) -> Quantize | list[Step] | None:
    """The step of a QuantizeLinear; on a constant none, its integers become a constant. With a scale or zero point
    known only at run time float steps, for 8 bits."""
    if _open_parameters(node, draft):
        return _quantize_at_run_time(node, draft)
    source, target, params = input_name(node), output_name(node), _params(node, draft)
    if source in draft.constants:
        draft.constants[target] = params.quantize(draft.constants[source])
        return None
    return Quantize(node_name(node), source, target, *_of_activation(params), draft.rounding)


def _dequantize(node: ir.Node, draft: Draft) -> Dequantize | list[Step] | None:
    """The step of a DequantizeLinear; on a constant none, its reals become a constant that knows its integers. With a
    scale or zero point known only at run time float steps, for 8 bits."""
    if _open_parameters(node, draft):
        return _dequantize_at_run_time(node, draft)
    if node.attributes.get_int("block_size", 0) and input_name(node) in draft.constants:
        draft.constants[output_name(node)] = _reals_of_blocks(node, draft)
        return None
    source, target, params = input_name(node), output_name(node), _params(node, draft)
    if source in draft.constants:
        if params.bits < 8:
            draft.constants[source] = draft.constants[source].astype(params.dtype)
        draft.constants[target] = params.dequantize(draft.constants[source])
        draft.quantized[target] = Quantized(source, params)
        return None
    return Dequantize(node_name(node), source, target, *_of_activation(params))


def _reals_of_blocks(node: ir.Node, draft: Draft) -> NDArray[np.float32]:
    """(integer - zero point) * scale of a constant, of which each block along the axis has a scale."""
    integers = draft.constants[input_name(node)].astype(np.int32)
    axis, block = node.attributes.get_int("axis", 1) % integers.ndim, node.attributes.get_int("block_size", 0)
    size = integers.shape[axis]

    def each(name: str) -> NDArray[np.generic]:
        return np.take(np.repeat(draft.constants[name], block, axis), range(size), axis)

    scale, zero_point = each(input_name(node, 1)), draft.optional_constant_of(node, 2, "zero point")
    if zero_point is not None:
        integers = integers - each(zero_point).astype(np.int32)
    return integers.astype(np.float32) * scale.astype(np.float32)


def _dynamic_quantize(node: ir.Node, draft: Draft) -> list[Step]:
    """uint8 whose range is that of the input, 0 included; in float32 and this order, as ONNX's definition has it:

    scale = (max - min) / 255, or 1 where both are 0
    zero point = round(clip(0 - min / scale, 0, 255))
    y = saturate(round(x / scale) + zero point)
    """
    parts, x = Composition(node, draft), input_name(node)
    axes = range(len(parts.shape(x)))
    zero, most = parts.constant(0.0), parts.constant(255.0)
    low, high = (
        parts.reshape(parts.binary(function, parts.reduce(function, x, axes) if axes else x, zero))
        for function in ("min", "max")
    )
    scale = parts.binary("div", parts.binary("sub", high, low), most)
    scale = parts.select(parts.binary("equal", low, high, "bool"), parts.constant(1.0), scale)
    offset = parts.binary("sub", zero, parts.binary("div", low, scale))
    offset = parts.unary("round", parts.binary("min", parts.binary("max", offset, zero), most))
    rounded = parts.binary("add", parts.unary("round", parts.binary("div", x, scale)), offset)
    for output, result in zip(node.outputs[1:], (scale, offset), strict=False):
        if output.uses() or output.is_graph_output():
            assert output.name is not None
            parts.copy(result if result == scale else parts.cast(result, "uint8"), output.name)
    return parts.end(parts.cast(rounded, "uint8"))


def _open_parameters(node: ir.Node, draft: Draft) -> bool:
    """Whether scale or zero point are known only at run time."""
    return any(value is not None and value.name not in draft.constants for value in node.inputs[1:])


def _quantize_at_run_time(node: ir.Node, draft: Draft) -> list[Step]:
    """round(x / scale) + zero point; the cast saturates."""
    parts, integers = Composition(node, draft), node.outputs[0]
    assert integers.dtype is not None
    scaled = parts.binary("div", input_name(node), _parameter(node, 1, parts))
    rounded = _shifted("add", node, parts.unary("round", scaled), parts)
    return parts.end(parts.cast(rounded, _byte(str(integers.dtype.numpy()))))


def _dequantize_at_run_time(node: ir.Node, draft: Draft) -> list[Step]:
    """(x - zero point) * scale"""
    parts, x = Composition(node, draft), input_name(node)
    _byte(parts.dtype(x))
    shifted = _shifted("sub", node, parts.cast(x, "float32"), parts)
    return parts.end(parts.binary("mul", shifted, _parameter(node, 1, parts)))


def _byte(dtype: str) -> str:
    if dtype not in BYTES:
        why = "its scale or zero point is known only at run time"
        raise Unsupported(f"{why}; openwork takes int8 and uint8 then, not {dtype}")
    return dtype


def _shifted(function: BinaryFunction, node: ir.Node, x: str, parts: Composition) -> str:
    """The function of x and the zero point, if there is one."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return x
    return parts.binary(function, x, parts.cast(_parameter(node, 2, parts), "float32"))


def _parameter(node: ir.Node, index: int, parts: Composition) -> str:
    """Scale or zero point, as it is broadcast against the first input."""
    name, rank = input_name(node, index), rank_of(node)
    shape = parts.shape(name)
    if len(shape) > 1 or node.attributes.get_int("block_size"):
        raise Unsupported("it has one scale per block; openwork takes one per tensor or per channel")
    if prod(shape) == 1:
        return parts.reshape(name)
    axis = node.attributes.get_int("axis", 1) % rank
    return parts.reshape(name, *[shape[0] if at == axis else 1 for at in range(rank)])


def _of_activation(params: QuantParams) -> tuple[float, int]:
    """Scale and zero point."""
    if params.bits == 4:
        raise Unsupported("an activation has 4 bits; openwork takes them for constants only")
    if params.axis is not None:
        raise Unsupported("an activation has one scale per channel; openwork takes one per tensor")
    return params.scale.item(), params.zero_point.item()


def _params(node: ir.Node, draft: Draft) -> QuantParams:
    """Scale, zero point and integer type of a node.

    Raises: Unsupported: they are not constant, not per tensor or channel, or no positive float32 scales.
    """
    scale = draft.constants[draft.constant_of(node, 1, "scale")]
    if scale.ndim > 1 or node.attributes.get_int("block_size"):
        raise Unsupported("it has one scale per block; openwork takes one per tensor or per channel")
    if scale.dtype != np.float32 or not (np.isfinite(scale) & (scale > 0)).all():
        raise Unsupported("its scale is not a positive, finite float32")
    zero_point = draft.optional_constant_of(node, 2, "zero point")
    integers = node.inputs[0] if node.op_type == "DequantizeLinear" else node.outputs[0]
    assert integers is not None
    assert integers.dtype is not None, "a canonicalised graph types every value"
    if not integers.dtype.is_integer():
        raise Unsupported(f"{integers.name!r} is {integers.dtype.numpy()}; openwork takes integers here")
    return QuantParams(
        scale.reshape(-1),
        np.zeros(scale.size, np.int32) if zero_point is None else _flat_int32(draft.constants[zero_point]),
        None if scale.size == 1 else node.attributes.get_int("axis", 1) % len(static_shape(integers)),
        bits=integers.dtype.bitwidth,
        signed=integers.dtype.is_signed(),
    )


def _flat_int32(array: NDArray[np.generic]) -> NDArray[np.int32]:
    return array.reshape(-1).astype(np.int32)


DTYPES = ("float32", "int8", "uint8", "int16", "uint16", "int4", "uint4")

OPERATORS: Mapping[str, Operator] = {
    "DequantizeLinear": Operator(_dequantize, DTYPES),
    "DynamicQuantizeLinear": Operator(_dynamic_quantize, ("float32", "uint8"), many=True),
    "QuantizeLinear": Operator(_quantize, DTYPES),
}
