"""A Pad that adds nothing goes."""

import onnx_ir as ir

from openwork.graph import constant, operator_of


def drop_empty_pads(model: ir.Model) -> bool:
    """Drop each Pad by zero elements everywhere, as networks have that pad images to whole windows.

        before: Relu(Pad(x, [0, 0, 0, 0]))
        after:  Relu(x)

    Requires: constants are initializers.
    Ensures: a Pad stays if its sizes are not known here, or if it links an output to an input or another output.
    """
    changed = False
    for node in model.graph:
        if operator_of(node) == "Pad" and _adds_nothing(node):
            changed |= _drop(node)
    return changed


def _adds_nothing(pad: ir.Node) -> bool:
    sizes = constant(pad.inputs[1])
    return sizes is not None and not any(sizes)


def _drop(pad: ir.Node) -> bool:
    x, result = pad.inputs[0], pad.outputs[0]
    assert x is not None and pad.graph is not None
    is_output = result.is_graph_output()
    if is_output and (x.is_graph_input() or x.is_initializer() or x.is_graph_output()):
        return False
    ir.convenience.replace_all_uses_with(result, x, replace_graph_outputs=True)
    pad.graph.remove(pad, safe=True)
    if is_output:
        x.name = result.name
    return True
