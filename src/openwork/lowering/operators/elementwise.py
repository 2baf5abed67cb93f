"""Operators that compute each element by itself."""

from collections.abc import Mapping
from math import inf

import onnx_ir as ir

from openwork.lowering.arithmetic import Bounds
from openwork.lowering.draft import Draft, input_name, output_name
from openwork.lowering.operators.rule import Operator, node_name
from openwork.lowering.steps import Add, Clip


def _add(node: ir.Node, draft: Draft) -> Add:
    return Add(node_name(node), (input_name(node, 0), input_name(node, 1)), output_name(node))


def _relu(node: ir.Node, draft: Draft) -> Clip:
    return Clip(node_name(node), input_name(node), output_name(node), Bounds(0.0, inf))


def _clip(node: ir.Node, draft: Draft) -> Clip:
    bounds = Bounds(_limit(node, 1, "min", -inf, draft), _limit(node, 2, "max", inf, draft))
    return Clip(node_name(node), input_name(node), output_name(node), bounds)


def _limit(node: ir.Node, index: int, attribute: str, missing: float, draft: Draft) -> float:
    """An input since opset 11, an attribute before."""
    name = draft.optional_constant_of(node, index, attribute)
    if name is None:
        return node.attributes.get_float(attribute, missing)
    return float(draft.constants[name].reshape(()))


OPERATORS: Mapping[str, Operator] = {
    "Add": Operator(_add),
    "Clip": Operator(_clip),
    "Relu": Operator(_relu),
}
