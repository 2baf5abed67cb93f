"""A model that computes each layer's own error: every quantized layer reads the float network's tensors."""

from collections.abc import Iterable, Mapping

import onnx_ir as ir

from openwork.graph import operator_of
from openwork.quantization.analysis.coded import Coded

_FLOAT = "float/"  # tensors of the float network
_READ = "read/"  # the same, quantized and dequantized


def own_errors_model(quantized: ir.Model, coded: Iterable[Coded]) -> tuple[ir.Model, Mapping[str, str]]:
    """The quantized network, cut wherever a tensor is coded: what reads it there reads the float network's.

        before:  t = layer(...)    t ──► Q ──► DQ ──► next layer ──► u ──► Q ──► DQ
        after:   t = layer(...)    t ──► Q ──► DQ                                 the layer's own error
                            float/t ───► Q ──► DQ ──► next layer ──► u ──► Q ──► DQ

    What quantized layers compute before a tensor is quantized again, such as the sum in front of a Relu, or a
    float island, goes on from layer to layer.

    Returns: the model; and by each new input (`float/t`) the float network's tensor to feed it with (`t`).
    """
    own = quantized.clone()
    graph = own.graph
    producers = {str(node.outputs[0].name): node for node in graph if operator_of(node) == "QuantizeLinear"}
    read: dict[str, ir.Value] = {}
    for each in coded:
        quantize = producers[each.integers]
        source = quantize.inputs[0]
        assert source is not None
        if source.is_graph_input():
            continue  # what the float network has, too
        if each.name not in read:
            read[each.name] = ir.val(_FLOAT + each.name, ir.DataType.FLOAT, source.shape)
            graph.inputs.append(read[each.name])
        _read_instead(quantize, read[each.name])
    return own, {str(value.name): name for name, value in read.items()}


def _read_instead(quantize: ir.Node, tensor: ir.Value) -> None:
    """Let all that dequantizes the result of a QuantizeLinear read `tensor`, quantized alike, instead."""
    assert isinstance(quantize.graph, ir.Graph)
    coding = _copy(quantize, tensor)
    for back in [use.node for use in quantize.outputs[0].uses() if operator_of(use.node) == "DequantizeLinear"]:
        result = _copy(back, coding.outputs[0])
        for user, index in list(back.outputs[0].uses()):
            user.replace_input_with(index, result.outputs[0])
        quantize.graph.insert_after(quantize, result)
    quantize.graph.insert_after(quantize, coding)


def _copy(node: ir.Node, source: ir.Value) -> ir.Node:
    """The same on another input."""
    old = node.outputs[0]
    result = ir.Value(name=_READ + str(old.name), type=old.type, shape=old.shape)
    name = _READ + str(node.name)
    return ir.Node("", node.op_type, [source, *node.inputs[1:]], node.attributes.values(), outputs=[result], name=name)
