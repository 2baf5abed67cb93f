"""Transpose nodes: what they do, and what that costs."""

import math

import onnx_ir as ir

from openwork.graph import operator_of, static_shape
from openwork.passes.transposes.layouts import Perm


def perm_of(node: ir.Node) -> Perm:
    source = node.inputs[0]
    assert source is not None
    return tuple(node.attributes.get_ints("perm", range(len(static_shape(source)))[::-1]))


def set_perm(node: ir.Node, perm: Perm) -> None:
    node.attributes["perm"] = ir.AttrInt64s("perm", perm)


def transposes_of(value: ir.Value) -> list[ir.Node]:
    return [user for user, _ in value.uses() if operator_of(user) == "Transpose"]


def transpose_before(value: ir.Value) -> ir.Node | None:
    producer = value.producer()
    return producer if producer is not None and operator_of(producer) == "Transpose" else None


def is_static(value: ir.Value | None) -> bool:
    """Whether its shape is known, and the size of its elements: strings have none."""
    if value is None or value.dtype in (None, ir.DataType.STRING):
        return False
    return value.shape is not None and value.shape.is_static()


def moves_only_ones(perm: Perm, shape: tuple[int, ...]) -> bool:
    moved = [axis for axis in perm if shape[axis] != 1]
    return moved == sorted(moved)


def bytes_moved(graph: ir.Graph) -> int:
    """By all Transposes."""
    nodes = [node for node in graph if operator_of(node) == "Transpose" and is_static(node.inputs[0])]
    return sum(moved_by(node.inputs[0], perm_of(node)) for node in nodes)


def moved_by(value: ir.Value | None, perm: Perm, first: Perm | None = None) -> int:
    """Bytes that a Transpose of a value moves, which may be permuted first; one that moves none still is a node."""
    if value is None or perm == tuple(range(len(perm))):
        return 0
    shape = static_shape(value)
    if moves_only_ones(perm, shape if first is None else tuple(shape[axis] for axis in first)):
        return 1
    assert value.dtype is not None
    return max(math.prod(shape) * value.dtype.bitwidth // 8, 2)
