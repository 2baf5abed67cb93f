"""The rules of ONNX that everything else relies on."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cache

import onnx.defs
from onnx import AttributeProto, GraphProto, NodeProto

from openwork.errors import ModelError
from openwork.frontends.onnx import parts

# Where each type of attribute keeps its value.
_FIELDS = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.GRAPH: "g",
    AttributeProto.TYPE_PROTO: "tp",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
    AttributeProto.TENSORS: "tensors",
    AttributeProto.GRAPHS: "graphs",
    AttributeProto.TYPE_PROTOS: "type_protos",
}
_MESSAGES = (AttributeProto.TENSOR, AttributeProto.GRAPH, AttributeProto.TYPE_PROTO)


def check_rules(model: onnx.ModelProto, source: str) -> None:
    """Refuse a model whose parts do not hold together, and bring its nodes into topological order.

    ONNX's own checker asks for more than that, and than onnxruntime does: a type and a shape of every output, names of
    graphs, sorted nodes. Operators that ONNX does not know are left for `lower` to name.

    Args:
        source: what the message calls the model: its file name.
    Ensures: names are made once in a graph; what is read is made in the graph or around it; nodes are sorted; inputs,
        outputs and attributes of nodes are as many and of the types that the definition of their operator says.
    Raises: ModelError: names what breaks a rule.
    """
    rules = _Rules(source, _versions(model.opset_import))
    _check_types(model, rules)
    free = _check_graph(model.graph, (), rules)
    assert not free
    for function in model.functions:
        inside = _Rules(source, _versions(function.opset_import))
        nodes = list(function.node)
        _, order = _check_nodes(nodes, set(function.input), function.output, (), inside)
        _reorder(function, nodes, order)


def invalid(source: str, reason: str) -> ModelError:
    """The error of a file that breaks a rule of ONNX."""
    return ModelError(f"{source}: not a valid ONNX model ({reason}); export or copy the model again")


def label(node: NodeProto) -> str:
    """What a message calls a node: its name, or what it makes."""
    if node.name:
        return f"node {node.name!r} ({node.op_type})"
    made = next((name for name in node.output if name), "")
    return f"the {node.op_type} that makes {made!r}"


@dataclass(frozen=True)
class _Rules:
    """The file they are held against, and the version of each domain of operators there."""

    source: str
    versions: Mapping[str, int]

    def broken(self, reason: str) -> ModelError:
        return invalid(self.source, reason)


def _versions(imports: Iterable[onnx.OperatorSetIdProto]) -> Mapping[str, int]:
    return {each.domain: each.version for each in imports}


def _check_types(model: onnx.ModelProto, rules: _Rules) -> None:
    known = onnx.TensorProto.DataType.values()
    for value in parts.types(model):
        if value.type.HasField("tensor_type") and value.type.tensor_type.elem_type not in known:
            raise rules.broken(f"the type of {value.name!r} has the number {value.type.tensor_type.elem_type}")
    for tensor in parts.tensors(model):
        if tensor.data_type not in known or not tensor.data_type:
            raise rules.broken(f"the type of tensor {tensor.name!r} has the number {tensor.data_type}")
        if any(size < 0 for size in tensor.dims):
            raise rules.broken(f"the shape of tensor {tensor.name!r} is {list(tensor.dims)}")


def _check_graph(graph: GraphProto, scopes: Sequence[Set[str]], rules: _Rules) -> Set[str]:
    """Check a graph, and sort its nodes. Returns: names that it reads from the graphs around it, `scopes`."""
    inputs = [value.name for value in graph.input]
    _check_once(inputs, "input", rules)
    given = {*inputs, *(tensor.name for tensor in graph.initializer)}
    nodes = list(graph.node)
    free, order = _check_nodes(nodes, given, [value.name for value in graph.output], scopes, rules)
    _reorder(graph, nodes, order)
    return free


def _check_nodes(
    nodes: Sequence[NodeProto], given: Set[str], outputs: Sequence[str], scopes: Sequence[Set[str]], rules: _Rules
) -> tuple[Set[str], Sequence[int]]:
    """Check the nodes of a graph or function. Returns: names that they read from outside, and their order."""
    makers: dict[str, int] = {}
    for index, node in enumerate(nodes):
        _check_node(node, rules)
        for name in filter(None, node.output):
            if name in makers or name in given:
                raise rules.broken(f"{label(node)} makes {name!r}, which is made already")
            makers[name] = index
    made = makers.keys() | given
    for name in outputs:
        if not name or name not in made:
            raise rules.broken(f"nothing makes the output {name!r}")
    reads = [_reads(node, (*scopes, made), rules) for node in nodes]
    for node, names in zip(nodes, reads, strict=True):
        for name in names - made:
            if not any(name in scope for scope in scopes):
                raise rules.broken(f"{label(node)} reads {name!r}, which nothing makes")
    free = {name for names in reads for name in names - made}
    needs = [{makers[name] for name in names if name in makers} for names in reads]
    return free, _order(nodes, needs, rules)


def _reads(node: NodeProto, scopes: Sequence[Set[str]], rules: _Rules) -> Set[str]:
    """Names that a node reads, the graphs in its attributes included."""
    names = set(filter(None, node.input))
    for graph in _subgraphs(node):
        names |= _check_graph(graph, scopes, rules)
    return names


def _subgraphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            yield attribute.g
        elif attribute.type == AttributeProto.GRAPHS:
            yield from attribute.graphs


def _order(nodes: Sequence[NodeProto], needs: Sequence[Set[int]], rules: _Rules) -> Sequence[int]:
    """A topological order: the given one if it is one, else the nearest to it."""
    left = [len(each) for each in needs]
    readers: list[list[int]] = [[] for _ in nodes]
    for index, each in enumerate(needs):
        for needed in each:
            readers[needed].append(index)
    ready = [index for index, count in enumerate(left) if not count]
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            left[reader] -= 1
            if not left[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(nodes):
        stuck = next(index for index, count in enumerate(left) if count)
        seen: list[int] = []
        while stuck not in seen:  # what waits for what waits ends in a circle
            seen.append(stuck)
            stuck = min(needed for needed in needs[stuck] if left[needed])
        raise rules.broken(f"the result of {label(nodes[stuck])} depends on itself")
    return order


def _reorder(owner: GraphProto | onnx.FunctionProto, nodes: Sequence[NodeProto], order: Sequence[int]) -> None:
    if any(place != index for place, index in enumerate(order)):
        copies = [NodeProto.FromString(nodes[index].SerializeToString()) for index in order]
        owner.ClearField("node")
        owner.node.extend(copies)


def _check_node(node: NodeProto, rules: _Rules) -> None:
    if not node.op_type or not (node.op_type + node.domain).isprintable():
        raise rules.broken(f"node {node.name!r} has the operator {node.op_type!r} of domain {node.domain!r}")
    for attribute in node.attribute:
        _check_attribute(attribute, node, rules)
    _check_once([attribute.name for attribute in node.attribute], f"attribute of {label(node)}", rules)
    version = rules.versions.get(node.domain)
    schema = None if version is None else _schema(node.op_type, version, node.domain)
    if schema is None or schema.deprecated:
        return
    for names, least, most, what in (
        (node.input, schema.min_input, schema.max_input, "inputs"),
        (node.output, schema.min_output, schema.max_output, "outputs"),
    ):
        if not least <= len(names) <= most:
            raise rules.broken(f"{label(node)} has {len(names)} {what}, and takes {_range(least, most)}")
    for name, formal in zip(node.input, schema.inputs, strict=False):
        if not name and formal.option == onnx.defs.OpSchema.FormalParameterOption.Single:
            raise rules.broken(f"{label(node)} has no input {formal.name!r}")
    for attribute in node.attribute:
        known = schema.attributes.get(attribute.name)
        if known is None:
            if not attribute.name.startswith("__"):  # those are remarks between tools
                raise rules.broken(f"{label(node)} has an attribute {attribute.name!r}, which opset {version} lacks")
        elif _type_number(known) != attribute.type:
            raise rules.broken(
                f"{label(node)} has an attribute {attribute.name!r} of another type than opset {version}"
            )
    given = {attribute.name for attribute in node.attribute}
    for name, known in schema.attributes.items():
        if known.required and name not in given:
            raise rules.broken(f"{label(node)} has no attribute {name!r}, which opset {version} requires")


def _check_attribute(attribute: AttributeProto, node: NodeProto, rules: _Rules) -> None:
    """Its value must lie where its type says."""
    field = _FIELDS.get(attribute.type)
    if field is None:
        raise rules.broken(f"{label(node)} has an attribute {attribute.name!r} without a type")
    used = {each.name for each, _ in attribute.ListFields()} & set(_FIELDS.values())
    missing = attribute.type in _MESSAGES and not used and not attribute.ref_attr_name
    if used - {field} or missing:
        raise rules.broken(f"{label(node)} has an attribute {attribute.name!r} whose value is not of its type")


def _check_once(names: Iterable[str], what: str, rules: _Rules) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise rules.broken(f"there are two {what} {name!r}")
        seen.add(name)


def _type_number(known: onnx.defs.OpSchema.Attribute) -> int:
    return int(known.type.value)  # type: ignore[attr-defined]  # an enumeration, though its stub does not say so


def _range(least: int, most: int) -> str:
    if least == most:
        return str(least)
    return f"{least} or more" if most > 1_000_000 else f"{least} to {most}"


@cache
def _schema(operator: str, version: int, domain: str) -> "onnx.defs.OpSchema | None":
    """The definition of an operator; None of one that ONNX does not define."""
    if not onnx.defs.has(operator, version, domain):
        return None
    return onnx.defs.get_schema(operator, version, domain)
