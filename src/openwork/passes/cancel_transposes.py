"""Transposes that undo one another, across operators that do not care in which order axes lie."""

import math
from collections.abc import Iterable, Iterator

import onnx_ir as ir

from openwork.graph import add_initializer, constant, static_shape
from openwork.passes.layouts import Carried, Perm, carried, compose, follow, inverse


def cancel_transposes(model: ir.Model) -> bool:
    """Permute the axes inside regions of the graph, where fewer bytes are then moved by Transposes.

        before: Conv -> Transpose(0, 2, 3, 1) -> Relu -> Pad -> Transpose(0, 3, 1, 2) -> Conv
        after:  Conv -> Relu -> Pad (other pads) -> Conv

    A region is as many neighbours as there are that can follow a permutation: elementwise operators, QuantizeLinear
    and DequantizeLinear, Concat, Pad, reductions and their like. Permuting it cancels Transposes at some of its
    borders and needs new ones at others; it is done if that moves fewer bytes. A QuantizeLinear or DequantizeLinear is
    a region by itself too: Transposes beside it go to the side of the integers.

    Requires: static shapes, constants are initializers.
    Ensures: the same numbers, to the last bit, but for the order in which reductions add; inputs and outputs keep
        names and layout; no Transpose that does nothing, reads another, repeats another, or only moves axes of
        size 1 beside a Reshape. Each change lowers the bytes moved, so that doing it again changes nothing.
    """
    graph = model.graph
    changed = _simplify(graph)
    while _permute_regions(graph):
        changed = True
    if changed:
        graph.sort()
    return changed


# Transposes beside one another.


def _simplify(graph: ir.Graph) -> bool:
    changed, again = False, True
    while again:
        again = False
        for node in graph:
            if node.op_type == "Transpose" and _simplify_node(node):
                changed = again = True
    return changed


def _simplify_node(node: ir.Node) -> bool:
    source, result = node.inputs[0], node.outputs[0]
    if node.graph is None or source is None or not _is_static(source):
        return False
    if not result.uses() and not result.is_graph_output():
        node.graph.remove(node, safe=True)
        return True
    perm, before = _perm(node), source.producer()
    if before is not None and before.op_type == "Transpose" and _is_static(before.inputs[0]):
        node.replace_input_with(0, before.inputs[0])
        _set_perm(node, compose(_perm(before), perm))
        return True
    if perm == tuple(range(len(perm))):
        return _bypass(node, source)
    return _merge_equal(node, source, perm) or _become_reshape(node, source, perm)


def _bypass(node: ir.Node, source: ir.Value) -> bool:
    """Remove a node that does nothing, unless it links an output to an input, a constant or another output."""
    result = node.outputs[0]
    if result.is_graph_output() and (source.producer() is None or source.is_graph_output()):
        return False
    _replace(result, source)
    return True


def _replace(result: ir.Value, by: ir.Value) -> None:
    """Let `by` take the place of `result`, and its name if that is an output's; remove its node."""
    node = result.producer()
    assert node is not None and node.graph is not None
    is_output, name = result.is_graph_output(), result.name
    ir.convenience.replace_all_uses_with(result, by, replace_graph_outputs=True)
    node.graph.remove(node, safe=True)
    if is_output:
        by.name = name


def _merge_equal(node: ir.Node, source: ir.Value, perm: Perm) -> bool:
    """Of two Transposes that do the same, keep the one that writes an output."""
    for other in _transposes_of(source):
        if other is not node and _perm(other) == perm and not other.outputs[0].is_graph_output():
            _replace(other.outputs[0], node.outputs[0])
            return True
    return False


def _become_reshape(node: ir.Node, source: ir.Value, perm: Perm) -> bool:
    """A Transpose that moves axes of size 1 is a Reshape, and one with a Reshape before or behind it."""
    if not _moves_only_ones(perm, static_shape(source)):
        return False
    before, result = source.producer(), node.outputs[0]
    if before is not None and before.op_type == "Reshape" and before.graph and _is_static(before.inputs[0]):
        _reshape_instead(node, before.inputs[0])
        if not source.uses() and not source.is_graph_output():
            before.graph.remove(before, safe=True)
        return True
    reshapes = [user for user, index in result.uses() if user.op_type == "Reshape" and index == 0]
    for reshape in reshapes:
        _reshape_instead(reshape, source)
    return bool(reshapes)


def _reshape_instead(node: ir.Node, source: ir.Value | None) -> None:
    """Compute the node's result by reshaping `source`."""
    assert isinstance(node.graph, ir.Graph)
    result = node.outputs[0]
    array = ir.tensor(static_shape(result), dtype=ir.DataType.INT64).numpy()
    shape = add_initializer(node.graph, f"{node.name}/shape", array)
    reshape = ir.node("Reshape", [source, shape], name=node.name)
    ir.convenience.replace_nodes_and_values(node.graph, node, [node], [reshape], [result], reshape.outputs)


# Regions.


def _permute_regions(graph: ir.Graph) -> bool:
    changed = False
    for perm in _candidates(graph):
        for region in [*_regions(graph, perm), *_single_regions(graph, perm)]:
            if _saved(region, perm) > 0:
                _permute(region, perm)
                _simplify(graph)  # at once: what the next region saves is counted without chains of Transposes
                changed = True
    return changed


def _candidates(graph: ir.Graph) -> list[Perm]:
    """The permutations that cancel some Transpose behind or before a region."""
    perms = {_perm(node) for node in graph if node.op_type == "Transpose" and _is_static(node.inputs[0])}
    return sorted(perms | {inverse(perm) for perm in perms})


Region = dict[ir.Node, Carried]


def _regions(graph: ir.Graph, perm: Perm) -> list[Region]:
    """Nodes that can follow, in groups that share no tensor."""
    able = {node: what for node in graph if (what := carried(node, perm)) is not None}
    regions: list[Region] = []
    seen: set[ir.Node] = set()
    for start in able:
        if start in seen:
            continue
        region, waiting = {}, [start]
        seen.add(start)
        while waiting:
            node = waiting.pop()
            region[node] = able[node]
            for neighbour in _neighbours(node, able):
                if neighbour not in seen:
                    seen.add(neighbour)
                    waiting.append(neighbour)
        regions.append(region)
    return regions


def _single_regions(graph: ir.Graph, perm: Perm) -> list[Region]:
    """Each node between floats and integers by itself."""
    nodes = [node for node in graph if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    return [{node: what} for node in nodes if (what := carried(node, perm)) is not None]


def _neighbours(node: ir.Node, able: Region) -> Iterator[ir.Node]:
    for value in _values_of(node, able[node]):
        producer = value.producer()
        if producer in able and value.index() in able[producer].outputs:
            yield producer
        for user, index in value.uses():
            if user in able and index in able[user].inputs:
                yield user


def _values_of(node: ir.Node, what: Carried) -> Iterator[ir.Value]:
    """The tensors of a node that are permuted; constants have no layout of their own."""
    for index in what.inputs:
        value = node.inputs[index]
        if value is not None and constant(value) is None:
            yield value
    for index in what.outputs:
        yield node.outputs[index]


def _values(region: Region) -> list[ir.Value]:
    return list(dict.fromkeys(value for node, what in region.items() for value in _values_of(node, what)))


def _is_made_in(value: ir.Value | None, region: Region) -> bool:
    producer = None if value is None else value.producer()
    return value is not None and producer in region and value.index() in region[producer].outputs


def _outside_uses(value: ir.Value, region: Region) -> list[tuple[ir.Node, int]]:
    return [(user, index) for user, index in value.uses() if not (user in region and index in region[user].inputs)]


def _saved(region: Region, perm: Perm) -> int:
    """Bytes moved by Transposes beside a region now, less those moved if it is permuted."""
    identity, back = tuple(range(len(perm))), inverse(perm)
    beside: dict[ir.Node, None] = {}
    needed: dict[tuple[ir.Value, Perm], None] = {}  # which Transpose of which tensor somebody will read
    for value in _values(region):
        before = _transpose_before(value)
        if _is_made_in(value, region):
            if value.is_graph_output() or any(user.op_type != "Transpose" for user, _ in _outside_uses(value, region)):
                needed[value, identity] = None
        elif before is not None and before.inputs[0] is not None:
            beside[before] = None
            needed[before.inputs[0], compose(_perm(before), perm)] = None
        else:
            needed[value, perm] = None
        beside |= dict.fromkeys(_transposes_of(value))
    stay = [node for node in beside if node.outputs[0].is_graph_output() or _outside_uses(node.outputs[0], region)]
    kept = [(node.inputs[0], _perm(node)) for node in stay]  # two that do the same, if both write outputs
    after = [*kept, *(each for each in needed if each not in kept)]
    return sum(_moved(node.inputs[0], _perm(node)) for node in beside) - sum(
        _moved(value, compose(back, each), perm) if _is_made_in(value, region) else _moved(value, each)
        for value, each in after
    )


def _permute(region: Region, perm: Perm) -> None:
    made = [value for value in _values(region) if _is_made_in(value, region)]
    given = [value for value in _values(region) if not _is_made_in(value, region)]
    outside = {value: _outside_uses(value, region) for value in made}
    for node in region:
        follow(node, perm)
    for value in made:
        _restore(value, outside[value], perm)
    # Only now: what is given may be made of what is made.
    for value in given:
        permuted = _transposed(value, perm)
        for user, index in tuple(value.uses()):
            if user in region and index in region[user].inputs:
                user.replace_input_with(index, permuted)


def _transposed(value: ir.Value, perm: Perm) -> ir.Value:
    """The permuted tensor: one that is there already, or the result of a new Transpose."""
    before = _transpose_before(value)
    if before is not None and before.inputs[0] is not None:
        value, perm = before.inputs[0], compose(_perm(before), perm)
        if perm == tuple(range(len(perm))):
            return value
    for node in _transposes_of(value):
        if _perm(node) == perm:
            return node.outputs[0]
    return _add_transpose(value, perm, static_shape(value))


def _restore(value: ir.Value, outside: Iterable[tuple[ir.Node, int]], perm: Perm) -> None:
    """Permute a tensor made in a region, and give those outside what they read before."""
    shape, back, original = static_shape(value), inverse(perm), None
    value.shape = ir.Shape([shape[axis] for axis in perm])
    if value.is_graph_output():
        original = _add_transpose(value, back, static_shape(value))
        original.name, value.name = value.name, f"{value.name}/permuted"
        assert isinstance(original.graph, ir.Graph)
        outputs = original.graph.outputs
        outputs[:] = [original if output is value else output for output in outputs]
    for user, index in outside:
        if user.op_type == "Transpose":
            _set_perm(user, compose(back, _perm(user)))
            continue
        if original is None:
            original = _add_transpose(value, back, static_shape(value))
        user.replace_input_with(index, original)


def _add_transpose(value: ir.Value, perm: Perm, shape: tuple[int, ...]) -> ir.Value:
    """A new Transpose, anywhere: the graph is sorted in the end."""
    node = ir.node("Transpose", [value], {"perm": perm}, name=f"{value.name}/transpose")
    result = node.outputs[0]
    result.name = f"{value.name}/transposed"
    result.type, result.shape = value.type, ir.Shape([shape[axis] for axis in perm])
    assert isinstance(value.graph, ir.Graph)
    value.graph.append(node)
    return result


# Transposes.


def _perm(node: ir.Node) -> Perm:
    source = node.inputs[0]
    assert source is not None
    return tuple(node.attributes.get_ints("perm", range(len(static_shape(source)))[::-1]))


def _set_perm(node: ir.Node, perm: Perm) -> None:
    node.attributes["perm"] = ir.AttrInt64s("perm", perm)


def _transposes_of(value: ir.Value) -> list[ir.Node]:
    return [user for user, _ in value.uses() if user.op_type == "Transpose"]


def _transpose_before(value: ir.Value) -> ir.Node | None:
    producer = value.producer()
    return producer if producer is not None and producer.op_type == "Transpose" else None


def _is_static(value: ir.Value | None) -> bool:
    """Whether its shape is known, and the size of its elements: strings have none."""
    if value is None or value.dtype in (None, ir.DataType.STRING):
        return False
    return value.shape is not None and value.shape.is_static()


def _moves_only_ones(perm: Perm, shape: tuple[int, ...]) -> bool:
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def _moved(value: ir.Value | None, perm: Perm, first: Perm | None = None) -> int:
    """Bytes that a Transpose of a value moves, which may be permuted first; one that moves none still is a node."""
    if value is None or perm == tuple(range(len(perm))):
        return 0
    shape = static_shape(value)
    if _moves_only_ones(perm, shape if first is None else tuple(shape[axis] for axis in first)):
        return 1
    assert value.dtype is not None
    return max(math.prod(shape) * value.dtype.bitwidth // 8, 2)
