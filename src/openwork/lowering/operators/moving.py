"""Operators that move elements and compute nothing."""

from collections.abc import Mapping

import onnx_ir as ir

from openwork.lowering.draft import Draft, input_name, output_name
from openwork.lowering.operators.rule import ANY, Operator, node_name, rank_of
from openwork.lowering.steps import Concat, Reshape, Transpose


def _concat(node: ir.Node, draft: Draft) -> Concat:
    inputs = tuple(input_name(node, index) for index in range(len(node.inputs)))
    return Concat(node_name(node), inputs, output_name(node), node.attributes["axis"].as_int() % rank_of(node))


def _transpose(node: ir.Node, draft: Draft) -> Transpose:
    reversed_axes = range(rank_of(node))[::-1]
    return Transpose(
        node_name(node),
        input_name(node),
        output_name(node),
        tuple(node.attributes.get_ints("perm", reversed_axes)),
    )


def _reshape(node: ir.Node, draft: Draft) -> Reshape:
    return Reshape(node_name(node), input_name(node), output_name(node))


OPERATORS: Mapping[str, Operator] = {
    "Concat": Operator(_concat, ANY),
    "Flatten": Operator(_reshape, ANY),
    "Identity": Operator(_reshape, ANY),
    "Reshape": Operator(_reshape, ANY),
    "Squeeze": Operator(_reshape, ANY),
    "Transpose": Operator(_transpose, ANY),
    "Unsqueeze": Operator(_reshape, ANY),
}
