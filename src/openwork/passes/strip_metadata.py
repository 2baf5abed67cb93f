"""Remove what exporters wrote beside the network."""

from typing import Any

import onnx_ir as ir

from openwork.graph import dynamic_layers, floats_of, rounding_of, set_dynamic_layers, set_floats, set_rounding


def strip_metadata(model: ir.Model) -> bool:
    """Clear doc strings and metadata_props everywhere.

        before: Conv {"pkg.torch.onnx.stack_trace": 'File "/home/me/net.py", line 3, ...'}
        after:  Conv

    Exporters leave hundreds of source lines and machine paths there. Names and numbers stay, how the model's integers
    round, which layers are dynamic, and which floats there were.

    Requires: nothing.
    Ensures: no doc string and no metadata but these on the model, its graphs and functions, and their nodes,
        attributes, values and tensors.
    """
    owners: list[Any] = [*model.graphs(), *model.functions.values()]
    initializers = [value for graph in model.graphs() for value in graph.initializers.values()]
    parts: list[Any] = [model, *initializers]
    for graph in owners:
        parts += [graph, *graph.inputs]
        for node in graph:
            parts += [node, *node.outputs, *node.attributes.values()]
    rounding, dynamic, floats = rounding_of(model), dynamic_layers(model), floats_of(model)
    set_rounding(model, "float32")  # set aside: they are no remarks
    set_dynamic_layers(model, [])
    set_floats(model, [])
    # Lists, not generators: any() would stop at the first part that had something to clear.
    changed = any([_clear(part) for part in parts] + [_clear_tensor(value) for value in initializers])
    set_rounding(model, rounding)
    set_dynamic_layers(model, dynamic)
    set_floats(model, floats)
    return changed


def _clear(part: Any) -> bool:
    """Clear one part of a model; attributes have doc strings but no metadata."""
    metadata = getattr(part, "metadata_props", {})
    if not (metadata or part.doc_string):
        return False
    metadata.clear()
    part.doc_string = None
    return True


def _clear_tensor(value: ir.Value) -> bool:
    """Give an initializer a tensor without remarks. The old one may be shared with another model."""
    tensor = value.const_value
    if tensor is None or not (tensor.metadata_props or tensor.doc_string):
        return False
    proto = ir.serde.serialize_tensor(tensor)
    proto.ClearField("doc_string")
    proto.ClearField("metadata_props")
    value.const_value = ir.serde.deserialize_tensor(proto)
    return True
