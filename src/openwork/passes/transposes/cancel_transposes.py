"""Transposes that undo one another, across operators that do not care in which order axes lie."""

import math
from collections.abc import Iterable, Iterator

import onnx_ir as ir

from openwork.graph import Constants, constant, operator_of, static_shape
from openwork.passes.transposes.layouts import Carried, Perm, carried, compose, follow, inverse
from openwork.passes.transposes.nodes import (
    bytes_moved,
    is_static,
    moved_by,
    perm_of,
    set_perm,
    transpose_before,
    transposes_of,
)
from openwork.passes.transposes.simplify import simplify

# How often a round may visit each node, on average: every region is looked at for each permutation beside it.
_MOST_WALKS = 32

# Nodes that share tensors, and what of each is permuted.
Region = dict[ir.Node, Carried]


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
        size 1 beside a Reshape. Each permuted region lowers the bytes moved; doing it again changes nothing.

    It ends: `simplify` removes a Transpose with each step, or shortens the way from one to a tensor that is made
    otherwise, or from a Reshape to one; and each round over the regions but the last moves fewer bytes than the one
    before. A round costs at most `_MOST_WALKS` walks over the graph.
    """
    graph = model.graph
    constants = Constants(graph)
    changed, moved = simplify(graph, constants), math.inf
    while (now := bytes_moved(graph)) < moved:
        moved = now
        changed = _permute_regions(graph, constants) or changed
    if changed:
        graph.sort()
    return changed


def _permute_regions(graph: ir.Graph, constants: Constants) -> bool:
    changed, budget = False, _MOST_WALKS * len(graph)
    for perm, starts in sorted(_starts(graph).items()):
        regions = _regions(starts, perm)
        budget -= sum(map(len, regions))
        if budget < 0:
            break
        for region in regions:
            if _saved(region, perm) > 0:
                beside = _beside(region)
                _permute(region, perm, constants)
                # At once: what the next region saves is counted without Transposes that do nothing.
                simplify(beside | _beside(region), constants)
                changed = True
    return changed


def _starts(graph: ir.Graph) -> dict[Perm, list[ir.Node]]:
    """Each permutation that cancels a Transpose, with the nodes beside those that it cancels."""
    starts: dict[Perm, list[ir.Node]] = {}
    for node in graph:
        if operator_of(node) == "Transpose" and is_static(node.inputs[0]):
            perm, source = perm_of(node), node.inputs[0]
            if source is not None and (before := source.producer()) is not None:
                starts.setdefault(perm, []).append(before)
            starts.setdefault(inverse(perm), []).extend(user for user, _ in node.outputs[0].uses())
    return starts


def _regions(starts: Iterable[ir.Node], perm: Perm) -> list[Region]:
    """Nodes that can follow, in groups that share no tensor; then each node between floats and integers by itself."""
    able = {node: carried(node, perm) for node in starts}
    regions: list[Region] = []
    seen: set[ir.Node] = set()
    for start in [*able]:
        if start in seen or able[start] is None:
            continue
        region: Region = {}
        waiting = [start]
        seen.add(start)
        while waiting:
            node = waiting.pop()
            what = able[node]
            assert what is not None
            region[node] = what
            for neighbour in _neighbours(node, what, able, perm):
                if neighbour not in seen:
                    seen.add(neighbour)
                    waiting.append(neighbour)
        regions.append(region)
    coding = [node for node in dict.fromkeys(starts) if operator_of(node) in ("QuantizeLinear", "DequantizeLinear")]
    return regions + [{node: what} for node in coding if (what := able[node]) is not None]


def _neighbours(node: ir.Node, what: Carried, able: dict[ir.Node, Carried | None], perm: Perm) -> Iterator[ir.Node]:
    """Nodes that share a permuted tensor with a node. able: what is known of nodes; more is added."""

    def follows(other: ir.Node) -> Carried | None:
        if other not in able:
            able[other] = carried(other, perm)
        return able[other]

    for value in _values_of(node, what):
        producer = value.producer()
        if producer is not None and (its := follows(producer)) is not None and value.index() in its.outputs:
            yield producer
        for user, index in value.uses():
            if (its := follows(user)) is not None and index in its.inputs:
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


def _beside(region: Region) -> dict[ir.Node, None]:
    """The Transposes that write or read tensors of a region, or read what one that writes them reads."""
    found: dict[ir.Node, None] = {}
    for value in _values(region):
        before = transpose_before(value)
        sources = [value] if before is None or before.inputs[0] is None else [value, before.inputs[0]]
        for source in sources:
            found |= dict.fromkeys(transposes_of(source))
    return found


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
        before = transpose_before(value)
        if _is_made_in(value, region):
            if value.is_graph_output() or any(
                operator_of(user) != "Transpose" for user, _ in _outside_uses(value, region)
            ):
                needed[value, identity] = None
        elif before is not None and before.inputs[0] is not None:
            beside[before] = None
            needed[before.inputs[0], compose(perm_of(before), perm)] = None
        else:
            needed[value, perm] = None
        beside |= dict.fromkeys(transposes_of(value))
    stay = [node for node in beside if node.outputs[0].is_graph_output() or _outside_uses(node.outputs[0], region)]
    kept = [(node.inputs[0], perm_of(node)) for node in stay]  # two that do the same, if both write outputs
    after = [*kept, *(each for each in needed if each not in kept)]
    return sum(moved_by(node.inputs[0], perm_of(node)) for node in beside) - sum(
        moved_by(value, compose(back, each), perm) if _is_made_in(value, region) else moved_by(value, each)
        for value, each in after
    )


def _permute(region: Region, perm: Perm, constants: Constants) -> None:
    made = [value for value in _values(region) if _is_made_in(value, region)]
    given = [value for value in _values(region) if not _is_made_in(value, region)]
    outside = {value: _outside_uses(value, region) for value in made}
    for node in region:
        follow(node, perm, constants)
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
    before = transpose_before(value)
    if before is not None and before.inputs[0] is not None:
        value, perm = before.inputs[0], compose(perm_of(before), perm)
        if perm == tuple(range(len(perm))):
            return value
    for node in transposes_of(value):
        if perm_of(node) == perm:
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
        if operator_of(user) == "Transpose":
            set_perm(user, compose(back, perm_of(user)))
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
