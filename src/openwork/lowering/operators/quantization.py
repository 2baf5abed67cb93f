"""QuantizeLinear and DequantizeLinear: steps on activations, more constants on constants."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import QuantParams, static_shape
from openwork.lowering.draft import Draft, Quantized, Unsupported, input_name, output_name
from openwork.lowering.operators.rule import Operator, node_name
from openwork.lowering.steps import Dequantize, Quantize


def _quantize(node: ir.Node, draft: Draft) -> Quantize | None:
    """The step of a QuantizeLinear; on a constant none, its integers become a constant."""
    source, target, params = input_name(node), output_name(node), _params(node, draft)
    if source in draft.constants:
        draft.constants[target] = params.quantize(draft.constants[source])
        return None
    return Quantize(node_name(node), source, target, *_of_activation(params))


def _dequantize(node: ir.Node, draft: Draft) -> Dequantize | None:
    """The step of a DequantizeLinear; on a constant none, its reals become a constant that knows its integers."""
    source, target, params = input_name(node), output_name(node), _params(node, draft)
    if source in draft.constants:
        if params.bits < 8:
            draft.constants[source] = draft.constants[source].astype(params.dtype)
        draft.constants[target] = params.dequantize(draft.constants[source])
        draft.quantized[target] = Quantized(source, params)
        return None
    return Dequantize(node_name(node), source, target, *_of_activation(params))


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
    "QuantizeLinear": Operator(_quantize, DTYPES),
}
