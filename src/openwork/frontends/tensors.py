"""What the tensors of a model must hold."""

import numpy as np
import onnx_ir as ir

from openwork.errors import ModelError, one_line

_FLOATS = (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
_SUMS = frozenset({"BatchNormalization", "Conv", "ConvTranspose", "Einsum", "Gemm", "MatMul"})


def check_tensors(model: ir.Model, source: str) -> None:
    """Read every tensor of a model, and refuse numbers that are none.

    Infinity is refused only where it is multiplied and summed, which leaves no number: attention masks hold -inf, and
    Clip has such bounds.

    Args:
        source: what the message calls the model: its file name.
    Raises: ModelError: a tensor cannot be read, or has NaN or infinite elements; names it.
    """
    for graph in model.graphs():
        for value in graph.initializers.values():
            if value.const_value is not None:
                _check(f"{source}: tensor {value.name!r}", value.const_value, value)
        for node in graph:
            for attribute in node.attributes.values():
                if attribute.type == ir.AttributeType.TENSOR and not attribute.is_ref():
                    what = f"{source}: tensor {attribute.name!r} of node {node.name!r}"
                    _check(what, attribute.as_tensor(), node.outputs[0])


def _check(name: str, tensor: ir.TensorProtocol, value: ir.Value) -> None:
    try:
        array = tensor.numpy()
    except (TypeError, ValueError) as error:
        raise ModelError(f"{name} is damaged ({one_line(error)}); export or copy the model again") from error
    if tensor.dtype not in _FLOATS:
        return
    summed = any(node.op_type in _SUMS for node in value.consumers())
    bad = ~np.isfinite(array) if summed else np.isnan(array)
    if bad.any():
        raise ModelError(
            f"{name} has {np.count_nonzero(bad)} of {array.size} elements that are NaN or infinite; "
            "train or export the model again"
        )
