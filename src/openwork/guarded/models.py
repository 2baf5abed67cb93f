"""Converting whole models. Their weights stay here: the converter does not look at them."""

from typing import Any

import onnx

from openwork.guarded.process import ask, told_as

# Bytes of a tensor that goes along: shapes, axes and scales, which converting may read.
_SMALL = 1 << 12


def convert_version(subject: str, model: onnx.ModelProto, version: int) -> onnx.ModelProto:
    """A model of another opset of the standard operators.

    Args:
        subject: the file, in front of an error.
        model: with its external data in memory; not modified.
    Raises: RefusedError: it cannot be converted. ModelError: the converter dies of it.
    """
    light, weights = _without_weights(model)
    with told_as(subject, "version converter"):
        converted = onnx.ModelProto.FromString(ask(("convert", light.SerializeToString(), version)))
    added = weights.keys() - {value.name for value in model.graph.input}
    kept = [value for value in converted.graph.input if value.name not in added]
    del converted.graph.input[:]
    converted.graph.input.extend(kept)
    for name, tensor in weights.items():
        converted.graph.initializer.add().CopyFrom(tensor)
        converted.graph.initializer[-1].name = name
    return converted


def _without_weights(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, onnx.TensorProto]]:
    """A model whose large tensors are inputs instead, and those tensors by name."""
    light = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _copy(light, field.name, value)
    weights: dict[str, onnx.TensorProto] = {}
    for field, value in model.graph.ListFields():
        if field.name == "initializer":
            for tensor in value:
                if _is_small(tensor):
                    light.graph.initializer.add().CopyFrom(tensor)
                else:
                    weights[tensor.name] = tensor
        elif field.name == "node":
            for node in value:
                tensor = _large_constant(node)
                if tensor is None:
                    light.graph.node.add().CopyFrom(node)
                else:
                    weights[node.output[0]] = tensor
        else:
            _copy(light.graph, field.name, value)
    inputs = {value.name for value in model.graph.input}
    for name, tensor in weights.items():
        if name not in inputs:
            light.graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims)))
    return light, weights


def _large_constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
    if node.op_type != "Constant" or node.domain or len(node.attribute) != 1 or len(node.output) != 1:
        return None
    tensor = node.attribute[0].t
    return tensor if node.attribute[0].name == "value" and not _is_small(tensor) else None


def _is_small(tensor: onnx.TensorProto) -> bool:
    return tensor.ByteSize() <= _SMALL


def _copy(message: onnx.ModelProto | onnx.GraphProto, field: str, value: Any) -> None:
    """Set a field, whatever its kind, to what another message of the kind has there."""
    message.MergeFrom(type(message)(**{field: value}))
