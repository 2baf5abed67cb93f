"""Matrix products."""

from collections.abc import Mapping

import onnx_ir as ir

from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.operators.rule import Operator, node_name
from openwork.lowering.steps import FullyConnected


def _matmul(node: ir.Node, draft: Draft) -> FullyConnected:
    weight = draft.constant_of(node, 1, "right side")
    if draft.constants[weight].ndim != 2:
        raise Unsupported(f"its right side has {draft.constants[weight].ndim} dimensions; openwork takes 2")
    return FullyConnected(node_name(node), input_name(node), output_name(node), draft.add_transposed(weight), None)


OPERATORS: Mapping[str, Operator] = {
    "MatMul": Operator(_matmul),
}
