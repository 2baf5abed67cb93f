"""Quantize a float graph, as standard ONNX QuantizeLinear and DequantizeLinear."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import Any

import ml_dtypes
import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnxscript.version_converter import convert_version

from openwork import guarded
from openwork.errors import CalibrationError, ModelError, one_line
from openwork.graph import Constants, QuantParams, constant, operator_of, set_rounding
from openwork.passes import canonicalise, name_nodes
from openwork.quantization.calibration import CalibrationTable, Range
from openwork.quantization.integer_operators import Group, Site, check_float, weight_index
from openwork.quantization.params import activation_params, bias_integers, weight_integers, weight_params
from openwork.quantization.plain_gemm import with_plain_gemms
from openwork.quantization.sharing import Sharing, shared
from openwork.quantization.strategies import INT8, Strategy

_OLDEST_OPSET = 13  # The first with scales per channel.
_OPSET_OF_4_AND_16_BITS = 21
_OLDEST_OF_ONNXSCRIPT = 18  # Its converter takes models from here on, ONNX's own the older ones.
_IR_OF_4_AND_16_BITS = 10


def quantize(
    model: ir.Model,
    table: CalibrationTable | Mapping[str, Range],
    strategy: Strategy = INT8,
    *,
    exclude: Collection[str] = (),
) -> ir.Model:
    """The same network, with every operator that can run in integers between Dequantize- and QuantizeLinear.

    Weights are symmetric, so that those that are zero stay zero; activations have one scale per tensor, and per part of
    a tensor where one scale would flatten a part (`sharing`); biases are
    int32 in units of input scale * weight scale. Inputs and outputs stay float32. Power-of-two strategies also ask
    for rounding by shifts. With 4 or 16 bits the model is converted to opset 21, which has these types.

    Names: a tensor `t` of the float graph keeps its name; new are `t_quantized` and `t_dequantized`, which is
    what the next operators read. An output `t` of the graph is the dequantized one, computed from `t_float`.

    Args:
        model: canonicalised, float, opset 13 or newer. Not modified; unchanged tensors are shared.
        table: from `calibrate` on this model, or its ranges.
        exclude: names of nodes that stay float.
    Raises:
        ModelError: the model is quantized already, its opset is too old or cannot be converted, or it has no node
            of an excluded name.
        CalibrationError: a tensor has no range, or `strategy` waits for `decided` to choose its layers.
    """
    _check(model, exclude)
    if strategy.activations is None:
        return model.clone()
    if strategy.wide is None:
        raise CalibrationError(f"strategy {strategy.name!r}: has not chosen its layers yet; call decided() with data")
    ranges = table.ranges if isinstance(table, CalibrationTable) else table
    quantized = with_plain_gemms(model)
    if _needs_new_types(strategy):
        quantized = _with_new_types(quantized)
    graph = quantized.graph
    constants = Constants(graph)
    names = {value: value.name for value in _tensors(graph)}
    sharing = shared(graph, ranges, strategy.activations, exclude)
    wide = _wide_tensors(sharing.sites, strategy)
    groups: dict[Group, QuantParams] = {}
    for group, limits in sharing.ranges.items():
        scheme = strategy.activation_scheme(wide=bool(wide.intersection(group)))
        groups[group] = activation_params(limits, scheme)
    scales = {tensor: params.scale[0] for group, params in groups.items() for tensor in group}
    for site in sharing.sites:
        if site.weighted:
            _quantize_weights(site.node, scales[site.inputs[0]], strategy, constants)
    for group, params in groups.items():
        _quantize_group(group, params, sharing, constants)
    _make_way(graph, names)
    name_nodes(quantized)
    set_rounding(quantized, strategy.rounding)
    return quantized


def _check(model: ir.Model, exclude: Collection[str]) -> None:
    check_float(model)
    opset = model.opset_imports.get("", 0)
    if opset < _OLDEST_OPSET:
        raise ModelError(f"model: opset {opset} has no scales per channel; export it with {_OLDEST_OPSET} or newer")
    names = [str(node.name) for node in model.graph]
    for name in sorted(set(exclude) - set(names)):
        near = "; is it " + " or ".join(map(repr, near)) + "?" if (near := get_close_matches(name, names, 2)) else ""
        raise ModelError(f"layer {name!r}: cannot be excluded, the model has no such node{near}")


def _needs_new_types(strategy: Strategy) -> bool:
    assert strategy.activations is not None and strategy.weights is not None
    return {strategy.activations.bits, strategy.weights.bits} != {8} or bool(strategy.wide)


def _with_new_types(model: ir.Model) -> ir.Model:
    """A canonical model in an opset that has integers of 4 and 16 bits."""
    opset = model.opset_imports[""]
    try:
        if opset < _OLDEST_OF_ONNXSCRIPT:
            model = ir.from_proto(guarded.convert_version("model", ir.to_proto(model), _OLDEST_OF_ONNXSCRIPT))
        if opset < _OPSET_OF_4_AND_16_BITS:
            convert_version(model, _OPSET_OF_4_AND_16_BITS)
            canonicalise(model)
    except Exception as error:  # the converters have no exception of their own
        raise ModelError(
            f"model: opset {opset} cannot be converted to {_OPSET_OF_4_AND_16_BITS} ({one_line(error)}); "
            f"export the model with opset {_OPSET_OF_4_AND_16_BITS}"
        ) from error
    model.ir_version = max(model.ir_version, _IR_OF_4_AND_16_BITS)
    return model


def _wide_tensors(sites: Collection[Site], strategy: Strategy) -> set[ir.Value]:
    """The activations that a layer of 16 bits reads or writes."""
    assert strategy.wide is not None
    return {tensor for site in sites if site.node.name in strategy.wide for tensor in (*site.inputs, *site.outputs)}


def _quantize_weights(node: ir.Node, input_scale: np.float32, strategy: Strategy, constants: Constants) -> None:
    """Put weight and bias of an operator behind a DequantizeLinear each."""
    index = weight_index(node)
    assert index is not None
    weight = _floats(node.inputs[index])
    bias = _floats(node.inputs[2]) if len(node.inputs) > 2 else None
    assert weight is not None
    scheme = strategy.weight_scheme(str(node.name))
    # A weight that comes first has one scale: onnxruntime's product of integers takes no more there.
    axis = _channel_axis(node) if scheme.per_channel and index == 1 else None
    if bias is not None:
        bias = np.broadcast_to(bias.reshape(-1), weight.shape[_channel_axis(node)])
    params = weight_params(weight, axis, bias, input_scale, scheme)
    integers = weight_integers(weight, params, scheme.headroom)
    stored = integers.astype(ml_dtypes.int4) if params.bits == 4 else integers
    _dequantize_input(node, index, stored, params.scale, axis, constants)
    if bias is not None:
        scale = params.scale * input_scale
        _dequantize_input(node, 2, bias_integers(bias, scale), scale, None if axis is None else 0, constants)


def _channel_axis(node: ir.Node) -> int:
    """The axis of the second input that runs over the operator's output channels."""
    transposed = operator_of(node) == "Gemm" and node.attributes.get_int("transB", 0) == 1
    return 0 if operator_of(node) == "Conv" or transposed else 1


def _dequantize_input(
    node: ir.Node,
    index: int,
    integers: NDArray[Any],
    scale: NDArray[np.float32],
    axis: int | None,
    constants: Constants,
) -> None:
    """Put integers behind a DequantizeLinear in the place of an input; scale is [channels], or [1] without axis."""
    graph, old = constants.graph, node.inputs[index]
    assert old is not None
    scale = scale.reshape(()) if axis is None else scale
    result = _float_value(f"{old.name}_dequantized", ir.Shape(integers.shape))
    inputs = [
        constants.add(f"{old.name}_quantized", integers),
        constants.add(f"{old.name}_scale", scale),
        constants.add(f"{old.name}_zero_point", np.zeros(scale.shape, integers.dtype)),
    ]
    attributes = None if axis is None else {"axis": axis}
    graph.insert_before(node, _node("DequantizeLinear", inputs, result, attributes))
    node.replace_input_with(index, result)
    _remove_unused(graph, old)


def _quantize_group(group: Group, params: QuantParams, sharing: Sharing, constants: Constants) -> None:
    """Quantize and dequantize each tensor of a group between its producer and its users."""
    known = [tensor for tensor in group if constant(tensor) is not None]
    for tensor in known:
        _quantize_constant(tensor, params, constants)
    if len(known) < len(group):
        coding = _coding(str(group[0].name), params, constants)
        computing = {site.node for site in sharing.sites} - sharing.apart
        for tensor in group:
            if tensor not in known:
                readers = computing if tensor in sharing.reals else None
                _quantize_tensor(constants.graph, tensor, params.dtype, coding, readers)


def _coding(name: str, params: QuantParams, constants: Constants) -> list[ir.Value]:
    """Scale and zero point of a tensor as constants."""
    return [
        constants.add(f"{name}_scale", params.scale[0]),
        constants.add(f"{name}_zero_point", params.zero_point[0].astype(params.dtype)),
    ]


def _quantize_tensor(
    graph: ir.Graph, tensor: ir.Value, integer: str, coding: list[ir.Value], readers: Collection[ir.Node] | None
) -> None:
    """Let all users of a tensor read it through integers; only `readers` if they are given."""
    name, type_ = tensor.name, ir.TensorType(ir.DataType.from_numpy(np.dtype(integer)))
    result = _float_value(f"{name}_dequantized", tensor.shape)
    for user, index in list(tensor.uses()):
        if readers is None or user in readers:
            user.replace_input_with(index, result)
    if readers is None and tensor.is_graph_output() and not tensor.is_graph_input():
        result.name, tensor.name = name, f"{name}_float"
        graph.outputs[:] = [result if output is tensor else output for output in graph.outputs]
    integers = ir.Value(name=f"{name}_quantized", shape=tensor.shape, type=type_)
    quantize = _node("QuantizeLinear", [tensor, *coding], integers)
    dequantize = _node("DequantizeLinear", [integers, *coding], result)
    producer = tensor.producer()
    if producer is None:
        graph.insert_before(graph[0], [quantize, dequantize])
    else:
        graph.insert_after(producer, [quantize, dequantize])


def _quantize_constant(tensor: ir.Value, params: QuantParams, constants: Constants) -> None:
    """Let every user of a constant read it through integers, scale and zero point of its own.

    Shared ones would do, but onnxruntime 1.31 fails on those of int8 when it is told to be precise.
    """
    array, name, graph = _floats(tensor), str(tensor.name), constants.graph
    assert array is not None
    for use in list(tensor.uses()):
        integers = constants.add(f"{name}_quantized", params.quantize(array))
        result = _float_value(f"{name}_dequantized", tensor.shape)
        graph.insert_before(use.node, _node("DequantizeLinear", [integers, *_coding(name, params, constants)], result))
        use.node.replace_input_with(use.idx, result)
    _remove_unused(graph, tensor)


def _tensors(graph: ir.Graph) -> list[ir.Value]:
    return [*graph.inputs, *(value for node in graph for value in node.outputs)]


def _make_way(graph: ir.Graph, names: Mapping[ir.Value, str | None]) -> None:
    """Give new tensors another name where one of the float graph, whose `names` these are, has it already."""
    kept = {name for value, name in names.items() if value.name == name}
    for value in _tensors(graph):
        while value.name in kept and names.get(value) != value.name:
            value.name = f"{value.name}_1"


def _floats(tensor: ir.Value | None) -> NDArray[np.float32] | None:
    """The array of a float constant."""
    array = constant(tensor)
    return None if array is None else array.astype(np.float32, copy=False)


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
