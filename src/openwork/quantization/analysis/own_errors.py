"""A model that computes each layer's own error: every quantized layer reads the float network's tensors."""

from collections.abc import Mapping

import onnx
import onnx_ir as ir

from openwork.quantization.analysis.coded import Coded

_OWN = "own/"
_READ = "read/"


def own_errors_model(
    model: ir.Model, quantized: ir.Model, coded: Mapping[str, Coded]
) -> tuple[ir.Model, Mapping[str, str]]:
    """The float network, and beside it each quantized layer on quantized *float* tensors.

        float:      t ──► layer ─────────────────────► u           the reference
        quantized:  t ──► Q ─► DQ ─► layer' ─► Q ─► DQ ─► own/u    the layer's own error

    What quantized layers compute before a tensor is quantized again, such as the sum in front of a Relu, or a
    float island, goes on from layer to layer.

    Returns: the model, with the float network's inputs and outputs; and for each float tensor that the quantized
        network has too the name of its counterpart.
    """
    proto, other = ir.to_proto(model), ir.to_proto(quantized)
    inputs = {value.name for value in other.graph.input}
    names = {name: _OWN + name for node in other.graph.node for name in node.output if name}
    names |= {tensor.name: _OWN + tensor.name for tensor in other.graph.initializer}
    names |= {name: name for name in inputs}

    renamed = []
    for node in other.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = _OWN + node.name
        copy.input[:] = [names.get(name, name) for name in node.input]
        copy.output[:] = [names.get(name, name) for name in node.output]
        renamed.append(copy)

    reading, heads = _read_float_tensors(other, names, coded)
    for copy in renamed:
        if copy.op_type != "QuantizeLinear":
            copy.input[:] = [reading.get(name, name) for name in copy.input]
    for tensor in other.graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(tensor)
        copy.name = names[tensor.name]
        proto.graph.initializer.append(copy)
    proto.graph.node.extend([*heads, *renamed])
    _use_newest_operators(proto, other)
    back = {name: _OWN + each.dequantized for name, each in coded.items()}
    return ir.from_proto(proto), names | back


def _read_float_tensors(
    other: onnx.ModelProto, names: Mapping[str, str], coded: Mapping[str, Coded]
) -> tuple[dict[str, str], list[onnx.NodeProto]]:
    """For each dequantized tensor the same made of the float network's, and the nodes that make it."""
    reading: dict[str, str] = {}
    heads = []
    by_integers = {each.integers: name for name, each in coded.items()}
    for node in other.graph.node:
        if node.op_type == "QuantizeLinear" and node.output[0] in by_integers:
            name = by_integers[node.output[0]]
        elif node.op_type == "DequantizeLinear" and node.input[0] in by_integers:
            name = by_integers[node.input[0]]
        else:
            continue
        head = onnx.NodeProto()
        head.CopyFrom(node)
        head.name = _READ + node.name
        head.input[:] = [names.get(each, each) for each in node.input]
        head.output[:] = [_READ + node.output[0]]
        if node.op_type == "QuantizeLinear":
            head.input[0] = name
        else:
            head.input[0] = _READ + node.input[0]
            reading[names[node.output[0]]] = head.output[0]
        heads.append(head)
    return reading, heads


def _use_newest_operators(proto: onnx.ModelProto, other: onnx.ModelProto) -> None:
    """The quantized model's versions of the operators, which are the newer ones."""
    versions = {opset.domain: opset.version for opset in other.opset_import}
    for opset in proto.opset_import:
        versions[opset.domain] = max(opset.version, versions.get(opset.domain, 0))
    del proto.opset_import[:]
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in versions.items())
    proto.ir_version = max(proto.ir_version, other.ir_version)
