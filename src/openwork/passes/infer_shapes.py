"""Give every value a static shape and a dtype."""

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx
import onnx_ir as ir

from openwork.errors import ModelError, one_line
from openwork.graph import constant, operator_of
from openwork.guarded import RefusedError, infer_node
from openwork.passes.contradictions import contradiction
from openwork.passes.settle_pads import settle_pads

# ONNX defines these by functions, and has no rule for what they give: a tensor like their first input.
_LIKE_THEIR_INPUT = ("GroupNormalization", "MeanVarianceNormalization")
# Constants up to this many elements are shown to shape inference: shapes, axes, pads, splits, not weights. These are
# whole numbers, but for a few operators; scales of quantization say nothing, and answers to equal questions are kept.
_SMALL = 128
_READS_ANY = ("OneHot", "Range", "Resize", "Upsample")
_READS_NONE = ("DequantizeLinear", "QuantizeLinear")

# Elements. No machine that this is for holds more in one tensor, and their number fits every index.
_LARGEST = 2**31 - 1

# NumPy's.
MOST_DIMENSIONS = 64

_Type = tuple[ir.TypeProtocol | None, ir.Shape | None]


def infer_shapes(model: ir.Model) -> bool:
    """Infer shape and dtype of every node's outputs, node by node, by the rules of ONNX.

        before: y (shape unknown) = Conv(x[1, 3, 8, 8], w[4, 3, 3, 3])
        after:  y float32[1, 4, 6, 6]

    Requires: static inputs, constants folded, nodes in topological order.
    Ensures: every value has a static shape and a dtype, but for what follows from shapes that depend on data or
        from operators that ONNX does not define. `lower` lists those nodes, with all else it does not take. Pads are
        numbers where `settle_pads` says so.
    Raises: ModelError: a node contradicts its inputs.
    """
    changed = _describe_initializers(model)
    for node in model.graph:
        if has_known_inputs(node):
            reason = contradiction(node)
            if reason is not None:
                raise _does_not_fit(node, reason)
            changed |= settle_pads(node)
            changed |= _infer(node, model)
    return changed


def _describe_initializers(model: ir.Model) -> bool:
    """Initializers are as their tensors are."""
    changed = False
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and not _known(value):
            value.type, value.shape, changed = ir.TensorType(tensor.dtype), ir.Shape(tensor.shape.numpy()), True
    return changed


def has_known_inputs(node: ir.Node) -> bool:
    """Whether all inputs of a node have a dtype and a static shape."""
    return all(_known(value) for value in node.inputs if value is not None)


def _known(value: ir.Value) -> bool:
    return value.dtype is not None and value.shape is not None and value.shape.is_static()


def _infer(node: ir.Node, model: ir.Model) -> bool:
    """Set what ONNX's rules say about the outputs of one node."""
    try:
        types = infer(node, model)
    except RefusedError as error:
        raise _does_not_fit(node, one_line(error).rpartition("InferenceError] ")[2]) from error
    changed = False
    for output in node.outputs:
        dtype, shape = types.get(str(output.name), (None, None))
        if dtype is not None and output.type != dtype:
            output.type, changed = dtype, True
        if shape is not None and output.shape != shape:
            output.shape, changed = shape, True
    return changed


def _does_not_fit(node: ir.Node, reason: str) -> ModelError:
    return ModelError(
        f"{name_of(node)}: it does not fit its inputs ({reason}); "
        "check the model, and the shapes that its inputs were given"
    )


def name_of(node: ir.Node) -> str:
    """What messages call a node."""
    return f"node {node.name!r} ({operator_of(node)})"


def infer(node: ir.Node, model: ir.Model) -> Mapping[str, _Type]:
    """The types and shapes that ONNX's rules give the outputs of one node, by name; empty where an input has no type.

    Raises: RefusedError: the node contradicts its inputs. ModelError: a result has sizes that no tensor can have, which
        rules for other nodes would not bear; or the rules themselves do not bear the node.
    """
    inputs = {str(value.name): value for value in node.inputs if value is not None and value.name}
    if any(value.type is None for value in inputs.values()):
        return {}
    first = node.inputs[0] if node.inputs else None
    if operator_of(node) in _LIKE_THEIR_INPUT and first is not None:
        return {str(node.outputs[0].name): (first.type, first.shape)}
    types = infer_node(
        name_of(node),
        ir.serde.serialize_node(node),
        {name: _type(value) for name, value in inputs.items()},
        {name: data for name, value in inputs.items() if (data := _data(value, node)) is not None},
        model.graph.opset_imports,
    )
    return {name: _checked(node, each) for name, each in types.items()}


def _checked(node: ir.Node, proto: onnx.TypeProto) -> _Type:
    if not _is_of_tensors(proto):
        return None, None
    shape = ir.serde.deserialize_type_proto_for_shape(proto)
    sizes = [] if shape is None else [size for size in shape if isinstance(size, int)]
    if any(size < 0 for size in sizes):
        raise _does_not_fit(node, f"its result would have the shape {shape}: they are too small for it")
    if shape is not None and shape.is_static() and prod(sizes) > _LARGEST:
        raise _does_not_fit(node, f"its result of shape {shape} would have more than 2^31 elements")
    if shape is not None and len(shape) > MOST_DIMENSIONS:
        raise _does_not_fit(node, f"its result would have {len(shape)} dimensions, more than {MOST_DIMENSIONS}")
    return ir.serde.deserialize_type_proto_for_type(proto), shape


def _is_of_tensors(proto: onnx.TypeProto) -> bool:
    """Whether a type is one of tensors, or sequences of them, and no map, which onnx_ir has no type for."""
    while proto.WhichOneof("value") in ("sequence_type", "optional_type"):
        proto = proto.sequence_type.elem_type if proto.HasField("sequence_type") else proto.optional_type.elem_type
    return proto.WhichOneof("value") in ("tensor_type", "sparse_tensor_type")


def _type(value: ir.Value) -> onnx.TypeProto:
    assert value.type is not None
    proto = ir.serde.serialize_type(value.type)
    if value.shape is not None:
        ir.serde.serialize_shape_into(proto, value.shape)
    return proto


def _data(value: ir.Value, node: ir.Node) -> onnx.TensorProto | None:
    is_whole = value.dtype in (ir.DataType.INT64, ir.DataType.INT32)
    if operator_of(node) not in _READS_ANY and (not is_whole or operator_of(node) in _READS_NONE):
        return None
    if value.const_value is not None and value.const_value.size > _SMALL:
        return None
    array = constant(value)
    if array is None or array.size > _SMALL or array.dtype.kind in "OSU":
        return None
    return onnx.numpy_helper.from_array(np.asarray(array), value.name)
