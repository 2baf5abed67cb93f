"""Windows that move over images without weights."""

from collections.abc import Mapping

import onnx_ir as ir

from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.operators.rule import Operator, node_name
from openwork.lowering.steps import AveragePool, MaxPool
from openwork.lowering.windows import window_of


def _max_pool(node: ir.Node, draft: Draft) -> MaxPool:
    if node.attributes.get_int("storage_order", 0):
        raise Unsupported("storage_order is set")
    window = window_of(node, node.attributes["kernel_shape"].as_ints())
    return MaxPool(
        node_name(node),
        input_name(node),
        output_name(node),
        window.kernel,
        window.strides,
        window.pads,
        window.dilations,
    )


def _average_pool(node: ir.Node, draft: Draft) -> AveragePool:
    window = window_of(node, node.attributes["kernel_shape"].as_ints())
    if any(dilation != 1 for dilation in window.dilations):
        raise Unsupported("dilations other than 1")
    include_pad = bool(node.attributes.get_int("count_include_pad", 0))
    if include_pad and node.attributes.get_int("ceil_mode"):
        raise Unsupported("count_include_pad together with ceil_mode")
    return AveragePool(
        node_name(node),
        input_name(node),
        output_name(node),
        window.kernel,
        window.strides,
        window.pads,
        include_pad,
    )


OPERATORS: Mapping[str, Operator] = {
    "AveragePool": Operator(_average_pool),
    "MaxPool": Operator(_max_pool, ("float32", "int8", "uint8")),
}
