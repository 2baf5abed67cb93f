"""Batch normalization at inference is part of the layer before it."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import Constants, constant, operator_of


def fold_batch_norm(model: ir.Model) -> bool:
    """Fold BatchNormalization into the Conv, ConvTranspose or Gemm whose result it alone reads.

        before: BatchNormalization(Conv(x, w, b), scale, shift, mean, variance)
        after:  Conv(x, w * s, (b - mean) * s + shift)

    where s = scale / sqrt(variance + epsilon), per output channel.

    Computed in float64 and rounded once, so zeros of w stay zeros.

    Requires: constants are initializers.
    Ensures: the layer's result has the name of the normalized tensor; the weight keeps its name, and a bias
        is called `layer.bias` beside `layer.weight`. A BatchNormalization stays if it trains, follows
        another operator, reads a result that others read too, or if a parameter is no constant.
    """
    changed, constants = False, Constants(model.graph)
    for node in model.graph:
        if operator_of(node) == "BatchNormalization":
            layer = _layer_before(node)
            if layer is not None:
                _fold(node, layer, constants)
                changed = True
    return changed


def _layer_before(norm: ir.Node) -> ir.Node | None:
    """The Conv, ConvTranspose (not in groups) or Gemm that `norm` can be folded into."""
    result = norm.inputs[0]
    layer = result.producer() if result is not None else None
    if result is None or layer is None or operator_of(layer) not in ("Conv", "ConvTranspose", "Gemm"):
        return None
    if operator_of(layer) == "ConvTranspose" and layer.attributes.get_int("group", 1) > 1:
        return None
    alone = len(result.uses()) == 1 and not result.is_graph_output()
    trains = bool(norm.attributes.get_int("training_mode"))
    only_result = not any(output.uses() or output.is_graph_output() for output in norm.outputs[1:])
    constants = all(constant(value) is not None for value in (*norm.inputs[1:], layer.inputs[1]))
    if alone and not trains and only_result and constants and _bias(layer) is not None:
        return layer
    return None


def _channels_axis(layer: ir.Node) -> int:
    """The axis of output channels in the layer's weight."""
    transposed = bool(layer.attributes.get_int("transB"))
    return {"Conv": 0, "ConvTranspose": 1, "Gemm": int(not transposed)}[operator_of(layer)]


def _bias(layer: ir.Node) -> NDArray[np.float64] | None:
    """float64[channels]: what the layer adds per output channel; None if it is not constant per channel."""
    weight = constant(layer.inputs[1])
    assert weight is not None
    channels = weight.shape[_channels_axis(layer)]
    if len(layer.inputs) < 3 or layer.inputs[2] is None:
        return np.zeros(channels)
    bias = constant(layer.inputs[2])
    if bias is None or bias.size not in (1, channels) or bias.shape[:-1] not in ((), (1,)):
        return None
    beta = layer.attributes.get_float("beta", 1.0)
    return beta * np.broadcast_to(bias.astype(np.float64).reshape(-1), channels)


def _fold(norm: ir.Node, layer: ir.Node, constants: Constants) -> None:
    weight, bias = constant(layer.inputs[1]), _bias(layer)
    assert weight is not None and bias is not None
    parameters = [constant(value) for value in norm.inputs[1:]]
    scale, shift, mean, variance = (array.astype(np.float64) for array in parameters if array is not None)
    s = scale / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))

    per_channel = [1] * weight.ndim
    per_channel[_channels_axis(layer)] = -1
    name = _name(layer.inputs[1])
    bias_name = name.removesuffix(".weight") + ".bias"
    constants.set_input(layer, 1, name, (weight.astype(np.float64) * s.reshape(per_channel)).astype(weight.dtype))
    constants.set_input(layer, 2, bias_name, ((bias - mean) * s + shift).astype(weight.dtype))
    if "beta" in layer.attributes:
        del layer.attributes["beta"]
    _take_over(norm, layer)


def _take_over(norm: ir.Node, layer: ir.Node) -> None:
    """Put the layer's output in the place of the normalized tensor, under its name."""
    result, normalized = layer.outputs[0], norm.outputs[0]
    assert norm.graph is not None
    ir.convenience.replace_all_uses_with(normalized, result, replace_graph_outputs=True)
    norm.graph.remove(norm, safe=True)
    result.name = normalized.name


def _name(value: ir.Value | None) -> str:
    assert value is not None and value.name
    return value.name
