"""Operators that look along axes: means, sums, largest elements, softmax, normalization."""

from collections.abc import Mapping

import onnx_ir as ir

from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.operators.rule import Operator, node_name, rank_of
from openwork.lowering.steps import Mean, Reshape, Softmax


def _global_average_pool(node: ir.Node, draft: Draft) -> Mean:
    return Mean(node_name(node), input_name(node), output_name(node), tuple(range(2, rank_of(node))))


def _reduce_mean(node: ir.Node, draft: Draft) -> Mean | Reshape:
    """Axes are an input since opset 18, an attribute before; none at all means every axis, or no mean."""
    name = draft.optional_constant_of(node, 1, "axes")
    given = node.attributes.get_ints("axes", []) if name is None else draft.constants[name].tolist()
    if not given and node.attributes.get_int("noop_with_empty_axes"):
        return Reshape(node_name(node), input_name(node), output_name(node))
    rank = rank_of(node)
    axes = sorted({axis % rank for axis in given}) or range(rank)
    return Mean(node_name(node), input_name(node), output_name(node), tuple(axes))


def _softmax(node: ir.Node, draft: Draft) -> Softmax:
    rank = rank_of(node)
    axis = node.attributes.get_int("axis", -1 if draft.opset >= 13 else 1) % rank
    if draft.opset < 13 and axis != rank - 1:
        raise Unsupported(f"before opset 13 its axis {axis} means all axes from there on; convert the model")
    return Softmax(node_name(node), input_name(node), output_name(node), axis)


OPERATORS: Mapping[str, Operator] = {
    "GlobalAveragePool": Operator(_global_average_pool),
    "ReduceMean": Operator(_reduce_mean),
    "Softmax": Operator(_softmax),
}
