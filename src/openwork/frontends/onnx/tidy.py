"""What ONNX files say in several ways, brought to one, as onnxruntime reads them."""

import onnx
import onnx.defs

from openwork.errors import ModelError, UnsupportedError, UnsupportedNode
from openwork.frontends.onnx import parts
from openwork.graph import NEWEST_OPSET

# Of the default domain, whose short name is empty.
_LONG_DOMAIN = "ai.onnx"

# That the definitions at hand know.
_NEWEST = onnx.defs.onnx_opset_version()


def tidy(model: onnx.ModelProto, source: str) -> None:
    """Bring a model to one form.

    Ensures: each domain is imported once, the default one under its short name, at a version up to NEWEST_OPSET, and by
        functions as by the model wherever that means the same; of initializers of one name the first is left; sizes
        below zero, which stand for unknown ones, are open; values that are neither tensors nor made of them have no
        type; no training.
    Args:
        source: what the message calls the model: its file name.
    Raises: UnsupportedError: nodes need operators of a newer version. ModelError: a version is none.
    """
    model.ClearField("training_info")
    for node in parts.nodes(model):
        node.domain = _short(node.domain)
    for graph in parts.graphs(model):
        _keep_the_first(graph)
    for value in parts.types(model):
        _tidy_type(value)
    _import_once(model, NEWEST_OPSET)
    for function in model.functions:
        _import_once(function, opset(model))
    for owner in (model, *model.functions):
        for each in owner.opset_import:
            if not 0 < each.version < 1 << 31 or (not each.domain and each.version > _NEWEST):
                raise ModelError(
                    f"{source}: imports version {each.version} of domain {each.domain!r}, which does not exist; "
                    f"export the model with opset {NEWEST_OPSET}"
                )
    _lower_version(model)
    for function in model.functions:
        _import_alike(function, opset(model))


def opset(model: onnx.ModelProto | onnx.FunctionProto) -> int:
    """The version of the default domain in a tidy model, or a function of one."""
    return next(each.version for each in model.opset_import if not each.domain)


def _short(domain: str) -> str:
    return "" if domain == _LONG_DOMAIN else domain


def _import_once(owner: onnx.ModelProto | onnx.FunctionProto, default: int) -> None:
    """The last import of a domain counts; where the default domain is not imported, its version is `default`."""
    versions = {"": default} | {_short(each.domain): each.version for each in owner.opset_import}
    _set_versions(owner, versions)


def _set_versions(owner: onnx.ModelProto | onnx.FunctionProto, versions: dict[str, int]) -> None:
    owner.ClearField("opset_import")
    owner.opset_import.extend(
        onnx.OperatorSetIdProto(domain=domain, version=version) for domain, version in versions.items()
    )


def _lower_version(model: onnx.ModelProto) -> None:
    """A model of a newer version is one of NEWEST_OPSET, if all its operators could be."""
    newest = opset(model)
    if newest <= NEWEST_OPSET:
        return
    newer = [node for node in parts.nodes(model) if not _could_be(node, newest, NEWEST_OPSET)]
    if newer:
        reason = f"opset {newest} is newer than {NEWEST_OPSET}, the newest that openwork takes, and changed it"
        raise UnsupportedError([UnsupportedNode(node.name, node.op_type, reason) for node in newer])
    for node in parts.nodes(model):
        for attribute in _added(node, NEWEST_OPSET):
            node.attribute.remove(attribute)
    for owner in (model, *model.functions):
        versions = {each.domain: each.version for each in owner.opset_import}
        _set_versions(owner, {**versions, "": min(versions[""], NEWEST_OPSET)})


def _could_be(node: onnx.NodeProto, newer: int, older: int) -> bool:
    """Whether a node of a newer version has nothing that the older one does not know: most versions only add types, or
    an attribute whose default is what was before."""
    if node.domain:
        return True
    if not (onnx.defs.has(node.op_type, newer, "") and onnx.defs.has(node.op_type, older, "")):
        return False
    now, before = (onnx.defs.get_schema(node.op_type, version, "").attributes for version in (newer, older))
    schema = onnx.defs.get_schema(node.op_type, older, "")
    return (
        all(each.name in now and each == now[each.name].default_value for each in _added(node, older))
        and all(name in now and now[name].default_value == each.default_value for name, each in before.items())
        and len(node.input) <= schema.max_input
        and len(node.output) <= schema.max_output
    )


def _added(node: onnx.NodeProto, older: int) -> list[onnx.AttributeProto]:
    """Its attributes that an older version does not have."""
    if node.domain:
        return []
    before = onnx.defs.get_schema(node.op_type, older, "").attributes
    return [attribute for attribute in node.attribute if attribute.name not in before]


def _import_alike(function: onnx.FunctionProto, version: int) -> None:
    """Import the default domain as the model does, if that changes no operator."""
    old = opset(function)
    if old != version and all(_same(node, old, version) for node in function.node):
        versions = {each.domain: each.version for each in function.opset_import}
        _set_versions(function, {**versions, "": version})


def _same(node: onnx.NodeProto, one: int, other: int) -> bool:
    """Whether two versions of the default domain define the operator of a node alike."""
    return bool(node.domain) or _since(node.op_type, one) == _since(node.op_type, other) is not None


def _since(operator: str, version: int) -> int | None:
    if not onnx.defs.has(operator, version, ""):
        return None
    return int(onnx.defs.get_schema(operator, version, "").since_version)


def _keep_the_first(graph: onnx.GraphProto) -> None:
    """Of initializers of one name; one without a name is never read."""
    first: dict[str, int] = {}
    for index, tensor in enumerate(graph.initializer):
        first.setdefault(tensor.name, index)
    for index in reversed(range(len(graph.initializer))):
        name = graph.initializer[index].name
        if not name or first[name] != index:
            del graph.initializer[index]


def _tidy_type(value: onnx.ValueInfoProto) -> None:
    kind, nested = value.type, False
    while kind.WhichOneof("value") in ("sequence_type", "optional_type"):
        kind = kind.sequence_type.elem_type if kind.HasField("sequence_type") else kind.optional_type.elem_type
        nested = True
    field = kind.WhichOneof("value")
    tensor = getattr(kind, field) if field in ("tensor_type", "sparse_tensor_type") else None
    if tensor is None or (nested and not tensor.elem_type):
        value.ClearField("type")
        return
    for dim in tensor.shape.dim:
        if dim.dim_value < 0:
            dim.Clear()
