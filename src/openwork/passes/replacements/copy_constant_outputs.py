"""Constants that are outputs of the model are computed, as other outputs are."""

import onnx_ir as ir

from openwork.graph import operator_of


def copy_constant_outputs(model: ir.Model) -> bool:
    """Let an Identity write each output that depends on no input.

        before: y = an initializer, or DequantizeLinear of initializers
        after:  y_constant = the same; y = Identity(y_constant)

    Requires: constants folded, nodes in topological order, names that differ.
    Ensures: outputs keep their names, types and order; what read the constant still reads a constant.
    """
    graph = model.graph
    varying = {value for value in graph.inputs if not value.is_initializer()}
    for node in graph:
        if any(value in varying for value in node.inputs) or _copies(node):
            varying.update(node.outputs)
    constants = list(dict.fromkeys(value for value in graph.outputs if value not in varying))
    taken = {value.name for node in graph for value in node.outputs} | set(graph.initializers)
    for value in constants:
        outer = ir.val(value.name, type=value.type, shape=value.shape)
        value.name = _free(f"{value.name}_constant", taken)
        taken.add(value.name)
        graph.append(ir.node("Identity", [value], outputs=[outer], name=f"{outer.name}_copy"))
        for index, output in enumerate(graph.outputs):
            if output is value:
                graph.outputs[index] = outer
    return bool(constants)


def _copies(node: ir.Node) -> bool:
    """Whether a node is what this pass adds."""
    return operator_of(node) == "Identity" and node.outputs[0].is_graph_output()


def _free(name: str, taken: set[str | None]) -> str:
    while name in taken:
        name += "_"
    return name
