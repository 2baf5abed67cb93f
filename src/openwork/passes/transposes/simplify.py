"""Transposes beside one another."""

from collections.abc import Iterable

import onnx_ir as ir

from openwork.graph import Constants, operator_of, static_shape
from openwork.passes.transposes.layouts import Perm, compose
from openwork.passes.transposes.nodes import is_static, moves_only_ones, perm_of, set_perm, transposes_of


def simplify(nodes: Iterable[ir.Node], constants: Constants) -> bool:
    """Bring the Transposes among some nodes into their simplest form; new ones do not arise.

    Returns: whether anything changed.
    """
    waiting = [node for node in nodes if operator_of(node) == "Transpose"]
    changed, again = False, True
    while again:
        again = False
        for node in waiting:
            if _simplify_node(node, constants):
                changed = again = True
    return changed


def _simplify_node(node: ir.Node, constants: Constants) -> bool:
    source, result = node.inputs[0], node.outputs[0]
    if node.graph is None or source is None or not is_static(source):
        return False
    if not result.uses() and not result.is_graph_output():
        node.graph.remove(node, safe=True)
        return True
    perm, before = perm_of(node), source.producer()
    if before is not None and operator_of(before) == "Transpose" and is_static(before.inputs[0]):
        node.replace_input_with(0, before.inputs[0])
        set_perm(node, compose(perm_of(before), perm))
        return True
    if perm == tuple(range(len(perm))):
        return _bypass(node, source)
    return _merge_equal(node, source, perm) or _become_reshape(node, source, perm, constants)


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
    for other in transposes_of(source):
        if other is not node and perm_of(other) == perm and not other.outputs[0].is_graph_output():
            _replace(other.outputs[0], node.outputs[0])
            return True
    return False


def _become_reshape(node: ir.Node, source: ir.Value, perm: Perm, constants: Constants) -> bool:
    """A Transpose that moves axes of size 1 is a Reshape, and one with a Reshape before or behind it."""
    if not moves_only_ones(perm, static_shape(source)):
        return False
    before, result = source.producer(), node.outputs[0]
    if before is not None and operator_of(before) == "Reshape" and before.graph and is_static(before.inputs[0]):
        _reshape_instead(node, before.inputs[0], constants)
        if not source.uses() and not source.is_graph_output():
            before.graph.remove(before, safe=True)
        return True
    reshapes = [user for user, index in result.uses() if operator_of(user) == "Reshape" and index == 0]
    for reshape in reshapes:
        _reshape_instead(reshape, source, constants)
    return bool(reshapes)


def _reshape_instead(node: ir.Node, source: ir.Value | None, constants: Constants) -> None:
    """Compute the node's result by reshaping `source`."""
    assert isinstance(node.graph, ir.Graph)
    result = node.outputs[0]
    array = ir.tensor(static_shape(result), dtype=ir.DataType.INT64).numpy()
    shape = constants.add(f"{node.name}/shape", array)
    reshape = ir.node("Reshape", [source, shape], name=node.name)
    ir.convenience.replace_nodes_and_values(node.graph, node, [node], [reshape], [result], reshape.outputs)
