"""Quantize a float graph to int8, as standard ONNX QuantizeLinear and DequantizeLinear."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import CalibrationError, ModelError
from openwork.graph import QuantParams, add_initializer, constant
from openwork.passes import name_nodes
from openwork.quantization.integer_operators import (
    Group,
    activations_of,
    alike,
    observed,
    weighted,
)
from openwork.quantization.observers import Range
from openwork.quantization.params import activation_params, bias_integers, weight_params

_UINT8 = ir.TensorType(ir.DataType.UINT8)
_OLDEST_OPSET = 13  # The first with scales per channel.


def quantize(model: ir.Model, ranges: Mapping[str, Range]) -> ir.Model:
    """The same network, with every operator that can run in integers between Dequantize- and QuantizeLinear.

    Weights become int8, symmetric, per output channel; activations uint8, asymmetric, per tensor; biases
    int32 in units of input scale * weight scale. Weights that are zero stay zero. Inputs and outputs stay
    float32.

    Names: a tensor `t` of the float graph keeps its name; new are `t_quantized` and `t_dequantized`, which is
    what the next operators read. An output `t` of the graph is the dequantized one, computed from `t_float`.

    Args:
        model: canonicalised, float, opset 13 or newer. Not modified; unchanged tensors are shared.
        ranges: from `calibrate` on this model.
    Raises:
        ModelError: the model is quantized already, or its opset is too old.
        CalibrationError: a tensor has no range.
    """
    _check(model)
    quantized = model.clone()
    graph = quantized.graph
    groups = {group: _params(group, ranges) for group in alike(graph)}
    scales = {tensor: params.scale[0] for group, params in groups.items() for tensor in group}
    for node in weighted(graph):
        _quantize_weights(node, scales[activations_of(node)[0]])
    for group, params in groups.items():
        _quantize_group(graph, group, params)
    name_nodes(quantized)
    return quantized


def _check(model: ir.Model) -> None:
    if any(node.op_type == "QuantizeLinear" for node in model.graph):
        raise ModelError("model: is quantized already; give the float model")
    opset = model.opset_imports.get("", 0)
    if opset < _OLDEST_OPSET:
        raise ModelError(f"model: opset {opset} has no scales per channel; export it with {_OLDEST_OPSET} or newer")


def _params(group: Group, ranges: Mapping[str, Range]) -> QuantParams:
    """Of the joint range of a group."""
    members = [array for tensor in group if (array := _floats(tensor)) is not None]
    found = [(float(array.min()), float(array.max())) for array in members]
    for name in observed(group):
        if name not in ranges:
            raise CalibrationError(f"tensor {name!r}: has no range; calibrate this very model")
        found.append(ranges[name])
    lows, highs = zip(*found, strict=True)
    return activation_params((min(lows), max(highs)))


def _quantize_weights(node: ir.Node, input_scale: np.float32) -> None:
    """Put weight and bias of an operator behind a DequantizeLinear each."""
    weight = _floats(node.inputs[1])
    bias = _floats(node.inputs[2]) if len(node.inputs) > 2 else None
    assert weight is not None
    axis = _channel_axis(node)
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), weight.shape[axis])
    params = weight_params(weight, axis, bias, input_scale)
    _dequantize_input(node, 1, params.quantize(weight), params.scale, axis)
    if bias is not None:
        scale = params.scale * input_scale
        _dequantize_input(node, 2, bias_integers(bias, scale), scale, axis=0)


def _channel_axis(node: ir.Node) -> int:
    """The axis of the weight that runs over the operator's output channels."""
    transposed = node.op_type == "Gemm" and node.attributes.get_int("transB", 0) == 1
    return 0 if node.op_type == "Conv" or transposed else 1


def _dequantize_input(
    node: ir.Node, index: int, integers: NDArray[np.generic], scale: NDArray[np.float32], axis: int
) -> None:
    graph, old = node.graph, node.inputs[index]
    assert isinstance(graph, ir.Graph) and old is not None
    result = _float_value(f"{old.name}_dequantized", ir.Shape(integers.shape))
    inputs = [
        add_initializer(graph, f"{old.name}_quantized", integers),
        add_initializer(graph, f"{old.name}_scale", scale),
        add_initializer(graph, f"{old.name}_zero_point", np.zeros(scale.shape, integers.dtype)),
    ]
    graph.insert_before(node, _node("DequantizeLinear", inputs, result, {"axis": axis}))
    node.replace_input_with(index, result)
    _remove_unused(graph, old)


def _quantize_group(graph: ir.Graph, group: Group, params: QuantParams) -> None:
    """Quantize and dequantize each tensor of a group between its producer and its users."""
    scale = add_initializer(graph, f"{group[0].name}_scale", params.scale[0])
    zero_point = add_initializer(graph, f"{group[0].name}_zero_point", params.zero_point[0].astype(np.uint8))
    for tensor in group:
        name, array, nodes = tensor.name, _floats(tensor), []
        result = _float_value(f"{name}_dequantized", tensor.shape)
        if tensor.is_graph_output():
            result.name, tensor.name = name, f"{name}_float"
        tensor.replace_all_uses_with(result, replace_graph_outputs=True)
        if array is None:
            integers = ir.Value(name=f"{name}_quantized", shape=tensor.shape, type=_UINT8)
            nodes.append(_node("QuantizeLinear", [tensor, scale, zero_point], integers))
        else:
            integers = add_initializer(graph, f"{name}_quantized", params.quantize(array))
        nodes.append(_node("DequantizeLinear", [integers, scale, zero_point], result))
        _insert_behind(graph, tensor, nodes)
        _remove_unused(graph, tensor)


def _floats(tensor: ir.Value | None) -> NDArray[np.float32] | None:
    """The array of a float constant."""
    array = constant(tensor)
    return None if array is None else array.astype(np.float32, copy=False)


def _insert_behind(graph: ir.Graph, tensor: ir.Value, nodes: list[ir.Node]) -> None:
    producer = tensor.producer()
    if producer is None:
        graph.insert_before(graph[0], nodes)
    else:
        graph.insert_after(producer, nodes)


def _node(
    operator: str, inputs: list[ir.Value], output: ir.Value, attributes: Mapping[str, int] | None = None
) -> ir.Node:
    """A node called after what it computes."""
    return ir.node(operator, inputs, attributes, outputs=[output], name=output.name)


def _float_value(name: str, shape: ir.Shape | None) -> ir.Value:
    return ir.Value(name=name, shape=shape, type=ir.TensorType(ir.DataType.FLOAT))


def _remove_unused(graph: ir.Graph, tensor: ir.Value) -> None:
    if tensor.is_initializer() and not tensor.uses() and tensor.name is not None:
        del graph.initializers[tensor.name]
