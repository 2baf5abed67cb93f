"""Give every node and value a name of its own."""

import onnx_ir as ir
from onnx_ir.passes.common.naming import NameFixPass, SimpleNameGenerator


def name_nodes(model: ir.Model) -> bool:
    """Name nodes without a name after their operator, and number what is called alike.

        before: Conv "", Conv "", Relu "act", Relu "act"
        after:  Conv "Conv", Conv "Conv_1", Relu "act", Relu "act_1"

    Requires: nothing.
    Ensures: names of nodes are unique and not empty, and so are names of values; inputs and outputs keep
        theirs.
    """
    return NameFixPass(_OperatorNames())(model).modified


class _OperatorNames(SimpleNameGenerator):
    def generate_node_name(self, node: ir.Node) -> str:
        return node.name or node.op_type
