"""Convolutions and fully connected layers."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.operators.rule import Operator, node_name
from openwork.lowering.steps import Conv, FullyConnected
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


def _gemm(node: ir.Node, draft: Draft) -> FullyConnected:
    if node.attributes.get_int("transA", 0):
        raise Unsupported("transA is set")
    weight = draft.constant_of(node, 1, "matrix B")
    if not node.attributes.get_int("transB", 0):
        weight = draft.add_transposed(weight)
    alpha, beta = node.attributes.get_float("alpha", 1.0), node.attributes.get_float("beta", 1.0)
    if alpha != 1:
        weight = draft.add_constant(f"{weight}/alpha", np.float32(alpha) * draft.constants[weight])
    bias = draft.optional_constant_of(node, 2, "matrix C")
    if bias is not None:
        bias = _row_bias(bias, beta, len(draft.constants[weight]), draft)
    return FullyConnected(node_name(node), input_name(node), output_name(node), weight, bias)


def _row_bias(name: str, beta: float, channels: int, draft: Draft) -> str:
    """beta * C as one value per output channel."""
    array = draft.constants[name]
    if array.shape == (channels,) and beta == 1:
        return name
    if array.size not in (1, channels) or (array.size > 1 and array.shape[-1] != channels):
        raise Unsupported(f"its matrix C of shape {array.shape} is not one value per output channel")
    return draft.add_constant(f"{name}/row", np.full(channels, np.float32(beta) * array.reshape(-1)))


OPERATORS: Mapping[str, Operator] = {
    "Conv": Operator(_conv),
    "Gemm": Operator(_gemm),
}
