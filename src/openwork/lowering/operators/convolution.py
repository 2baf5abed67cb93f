"""Convolutions."""

from collections.abc import Mapping

import onnx_ir as ir

from openwork.lowering.draft import Draft, input_name, output_name
from openwork.lowering.operators.rule import Operator, node_name
from openwork.lowering.steps import Conv
from openwork.lowering.windows import window_of


def _conv(node: ir.Node, draft: Draft) -> Conv:
    weight = draft.constant_of(node, 1, "weight")
    window = window_of(node, draft.constants[weight].shape[2:])
    return Conv(
        node_name(node),
        input_name(node),
        output_name(node),
        weight,
        draft.optional_constant_of(node, 2, "bias"),
        window.strides,
        window.pads,
        window.dilations,
        groups=node.attributes.get_int("group", 1),
    )


OPERATORS: Mapping[str, Operator] = {
    "Conv": Operator(_conv),
}
