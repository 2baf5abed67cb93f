"""Batch normalization that no layer takes in is a convolution of its own."""

import numpy as np
import onnx_ir as ir

from openwork.graph import Constants, constant, operator_of

# Of the input that a Conv of ours takes: [N, C, length] and [N, C, height, width].
_RANKS = (3, 4)


def batch_norm_to_conv(model: ir.Model) -> bool:
    """Turn BatchNormalization into a depthwise convolution of one pixel.

        before: BatchNormalization(x[N, C, h, w], scale, shift, mean, variance)
        after:  Conv(x, s[C, 1, 1, 1], shift - mean * s), one group a channel

    where s = scale / sqrt(variance + epsilon). A convolution can be quantized, and takes in the ReLU behind it, as in
    DenseNet, where normalization comes before the layer.

    Computed in float64 and rounded once.

    Requires: constants are initializers, static shapes; `fold_batch_norm` has gone before.
    Ensures: a BatchNormalization stays if it trains, if a parameter is no constant, or if its input is neither
        [N, C, length] nor [N, C, height, width]. New constants are called after the normalized tensor.
    """
    norms = [node for node in model.graph if operator_of(node) == "BatchNormalization" and _is_affine(node)]
    constants = Constants(model.graph)
    for norm in norms:
        _replace(norm, constants)
    return bool(norms)


def _is_affine(norm: ir.Node) -> bool:
    """Whether a factor and a summand for each channel, known here, are all that `norm` does."""
    x = norm.inputs[0]
    only_result = not any(output.uses() or output.is_graph_output() for output in norm.outputs[1:])
    constants = all(constant(value) is not None for value in norm.inputs[1:])
    fits = x is not None and x.shape is not None and len(x.shape) in _RANKS
    return fits and constants and only_result and not norm.attributes.get_int("training_mode", 0)


def _replace(norm: ir.Node, constants: Constants) -> None:
    x, result = norm.inputs[0], norm.outputs[0]
    assert x is not None and x.shape is not None and x.dtype is not None
    parameters = [constant(value) for value in norm.inputs[1:]]
    scale, shift, mean, variance = (array.astype(np.float64) for array in parameters if array is not None)
    s = scale / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    floats = x.dtype.numpy()
    weight = s.reshape(-1, *[1] * (len(x.shape) - 1)).astype(floats)
    bias = (shift - mean * s).astype(floats)
    inputs = [x, constants.add(f"{result.name}.weight", weight), constants.add(f"{result.name}.bias", bias)]
    conv = ir.node("Conv", inputs, {"group": len(s), "kernel_shape": list(weight.shape[2:])}, name=norm.name)
    ir.convenience.replace_nodes_and_values(constants.graph, norm, [norm], [conv], [result], conv.outputs)
