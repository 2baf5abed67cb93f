"""Networks of float16, bfloat16 and float64 are computed in float32."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import floats_of, set_floats

_OTHERS = {ir.DataType.FLOAT16: "float16", ir.DataType.BFLOAT16: "bfloat16", ir.DataType.DOUBLE: "float64"}

# Attributes that name a type, where operators have them.
_TYPES = ("to", "dtype", "output_dtype", "softmax_precision", "stash_type")


def widen_floats(model: ir.Model) -> bool:
    """Make every tensor of other floats one of float32, inputs and outputs too.

        before: x float16 -> Cast(to=float) -> Gemm(w float) -> Cast(to=float16) -> Softmax -> y float16
        after:  x float32 -> Cast(to=float) -> Gemm(w float) -> Cast(to=float)   -> Softmax -> y float32

    float32 holds every float16 and bfloat16. Numbers of float64 are rounded, and the largest become float32's largest.
    Which types there were is noted in the model's metadata, so that who compiles it is told.

    Requires: functions inlined. Ensures: no tensor and no attribute of those types.
    """
    found: set[str] = set()
    for graph in model.graphs():
        for value in [*graph.inputs, *graph.initializers.values(), *(each for node in graph for each in node.outputs)]:
            _widen_value(value, found)
        for node in graph:
            for name, attribute in list(node.attributes.items()):
                if attribute.is_ref():
                    continue
                if attribute.type == ir.AttributeType.TENSOR and attribute.as_tensor().dtype in _OTHERS:
                    node.attributes[name] = ir.AttrTensor(name, _widened(attribute.as_tensor(), found))
                elif name in _TYPES and attribute.type == ir.AttributeType.INT and attribute.as_int() in set(_OTHERS):
                    found.add(_OTHERS[ir.DataType(attribute.as_int())])
                    node.attributes[name] = ir.AttrInt64(name, ir.DataType.FLOAT)
    if found:
        set_floats(model, sorted(found.union(floats_of(model))))
    return bool(found)


def _widen_value(value: ir.Value, found: set[str]) -> None:
    if value.const_value is not None and value.const_value.dtype in _OTHERS:
        value.const_value = _widened(value.const_value, found)
    if isinstance(value.type, ir.TensorType) and value.type.dtype in _OTHERS:
        found.add(_OTHERS[value.type.dtype])
        value.type = ir.TensorType(ir.DataType.FLOAT)


def _widened(tensor: ir.TensorProtocol, found: set[str]) -> ir.TensorProtocol:
    found.add(_OTHERS[tensor.dtype])
    return ir.tensor(_float32(tensor.numpy()), name=tensor.name)


def _float32(array: NDArray[np.generic]) -> NDArray[np.float32]:
    """Finite numbers stay finite: masks are often the lowest number of their type."""
    if array.dtype != np.float64:
        return array.astype(np.float32)
    limits = np.finfo(np.float32)
    return np.where(np.isfinite(array), np.clip(array, limits.min, limits.max), array).astype(np.float32)
