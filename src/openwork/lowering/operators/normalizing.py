"""Operators that normalize: over axes at run time, or by statistics of the training."""

from collections.abc import Mapping
from functools import partial
from math import prod

import numpy as np
import onnx_ir as ir

from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.rule import Operator, node_name, rank_of
from openwork.lowering.steps import Conv, Mean, Normalize, Step


def _layer(node: ir.Node, draft: Draft, *, centred: bool) -> list[Step]:
    """LayerNormalization and RMSNormalization: over the axis and all behind it."""
    parts, x, rank = Composition(node, draft), input_name(node), rank_of(node)
    axes = tuple(range(node.attributes.get_int("axis", -1) % rank, rank))
    scale, bias = (_optional(node, index) for index in (1, 2))
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    if len(node.outputs) > 1:
        _statistics(node, axes, epsilon, parts)
    shape = parts.shape(x)
    y = parts.step(lambda name, y: Normalize(name, x, y, axes, epsilon, scale, bias, centred), shape, "float32")
    return parts.end(y)


def _statistics(node: ir.Node, axes: tuple[int, ...], epsilon: float, parts: Composition) -> None:
    """The further outputs of a LayerNormalization: mean and 1 / standard deviation."""
    x = input_name(node)

    def mean(x: str) -> str:
        shape = [1 if axis in axes else size for axis, size in enumerate(parts.shape(x))]
        return parts.step(lambda name, y: Mean(name, x, y, axes), shape, "float32")

    middle = mean(x)
    away = parts.binary("sub", x, middle)
    variance = mean(parts.binary("mul", away, away))
    inverse = parts.unary("reciprocal", parts.unary("sqrt", parts.add(variance, parts.constant(epsilon))))
    for output, result in zip(node.outputs[1:], (middle, inverse), strict=False):
        if output.uses() or output.is_graph_output():
            parts.copy(result, str(output.name))


def _instance(node: ir.Node, draft: Draft) -> list[Step]:
    parts, x, rank = Composition(node, draft), input_name(node), rank_of(node)
    scale, bias = (_per_channel(input_name(node, index), rank, parts) for index in (1, 2))
    epsilon, axes = node.attributes.get_float("epsilon", 1e-5), tuple(range(2, rank))
    shape = parts.shape(x)
    y = parts.step(lambda name, y: Normalize(name, x, y, axes, epsilon, scale, bias), shape, "float32")
    return parts.end(y)


def _group(node: ir.Node, draft: Draft) -> list[Step]:
    """Scale and bias are one value per channel, or (before opset 21) per group."""
    parts, x, rank = Composition(node, draft), input_name(node), rank_of(node)
    shape, groups = parts.shape(x), node.attributes["num_groups"].as_int()
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    by_group = (shape[0], groups, prod(shape[1:]) // groups)
    flat = parts.reshape(x, *by_group)
    scale, bias = input_name(node, 1), input_name(node, 2)
    if draft.opset < 21:
        scale, bias = (_per_channel(name, 3, parts) for name in (scale, bias))
        y = parts.step(lambda name, y: Normalize(name, flat, y, (2,), epsilon, scale, bias), by_group, "float32")
        return parts.end(y, shape)
    y = parts.step(lambda name, y: Normalize(name, flat, y, (2,), epsilon, None, None), by_group, "float32")
    y = parts.binary("mul", parts.reshape(y, *shape), _per_channel(scale, rank, parts))
    return parts.end(parts.add(y, _per_channel(bias, rank, parts)))


def _mean_variance(node: ir.Node, draft: Draft) -> Step:
    """ONNX adds 1e-9 to the root, which is as good as adding its square before."""
    axes = tuple(sorted(axis % rank_of(node) for axis in node.attributes.get_ints("axes", [0, 2, 3])))
    return Normalize(node_name(node), input_name(node), output_name(node), axes, 1e-18, None, None)


def _lp(node: ir.Node, draft: Draft) -> list[Step]:
    """What has no length stays 0."""
    parts, x = Composition(node, draft), input_name(node)
    axes = (node.attributes.get_int("axis", -1) % rank_of(node),)
    if node.attributes.get_int("p", 2) == 1:
        length = parts.reduce("sum", parts.unary("abs", x), axes)
    else:
        length = parts.unary("sqrt", parts.reduce("sum", parts.binary("mul", x, x), axes))
    positive = parts.binary("max", length, parts.constant(float(np.finfo(np.float32).tiny)))
    return parts.end(parts.binary("div", x, positive))


def _local_response(node: ir.Node, draft: Draft) -> list[Step]:
    """Of two spatial dimensions. The sum over neighbouring channels is a convolution whose weights are a band."""
    parts, x, number = Composition(node, draft), input_name(node), node.attributes.get_float
    if rank_of(node) != 4:
        raise Unsupported(f"on {rank_of(node)} dimensions; openwork takes 4 here")
    shape, size = parts.shape(x), node.attributes["size"].as_int()
    channels, before = shape[1], (size - 1) // 2
    away = np.arange(channels) - np.arange(channels)[:, None]
    band = np.where((away >= -before) & (away < size - before), number("alpha", 1e-4) / size, 0).astype(np.float32)
    weight = parts.constant(band[:, :, None, None])
    bias = parts.constant(np.full(channels, number("bias", 1.0), np.float32))
    squares = parts.binary("mul", x, x)
    sums = parts.step(
        lambda name, y: Conv(name, squares, y, weight, bias, (1, 1), (0, 0, 0, 0), (1, 1)), shape, "float32"
    )
    power = parts.binary("pow", sums, parts.constant(-number("beta", 0.75)))
    return parts.end(parts.binary("mul", x, power))


def _batch(node: ir.Node, draft: Draft) -> Step | list[Step]:
    """By constant statistics a depthwise convolution of one pixel for images; scale and bias otherwise."""
    if node.attributes.get_int("training_mode", 0):
        raise Unsupported("training_mode is set")
    parts, x, rank = Composition(node, draft), input_name(node), rank_of(node)
    epsilon, names = node.attributes.get_float("epsilon", 1e-5), [input_name(node, index) for index in range(1, 5)]
    if not all(name in draft.constants for name in names):
        factors, shifts, means, variances = (_per_channel(name, rank, parts) for name in names)
        deviations = parts.unary("sqrt", parts.add(variances, parts.constant(epsilon)))
        y = parts.binary("mul", parts.binary("sub", x, means), parts.binary("div", factors, deviations))
        return parts.end(parts.add(y, shifts))
    scale, shift, mean, variance = (draft.constants[name].astype(np.float64) for name in names)
    factor = scale / np.sqrt(variance + epsilon)
    weight = parts.constant(factor.astype(np.float32).reshape(-1, *[1] * (rank - 1)))
    bias = parts.constant((shift - mean * factor).astype(np.float32))
    if rank in (3, 4):
        ones, zeros = (1,) * (rank - 2), (0,) * (2 * rank - 4)
        name, y = node_name(node), output_name(node)
        return Conv(name, x, y, weight, bias, ones, zeros, ones, groups=len(factor))
    channels = 1 if rank > 1 else 0
    along = [len(factor) if axis == channels else 1 for axis in range(rank)]
    y = parts.binary("mul", x, parts.reshape(weight, *along))
    return parts.end(parts.add(y, parts.reshape(bias, *along)))


def _per_channel(name: str, rank: int, parts: Composition) -> str:
    """A row of one value per channel, to broadcast against [N, C, ...] of a rank."""
    return parts.reshape(name, *parts.shape(name), *[1] * (rank - 2))


def _optional(node: ir.Node, index: int) -> str | None:
    present = index < len(node.inputs) and node.inputs[index] is not None
    return input_name(node, index) if present else None


OPERATORS: Mapping[str, Operator] = {
    "BatchNormalization": Operator(_batch),
    "GroupNormalization": Operator(_group),
    "InstanceNormalization": Operator(_instance),
    "LRN": Operator(_local_response),
    "LayerNormalization": Operator(partial(_layer, centred=True), many=True),
    "LpNormalization": Operator(_lp),
    "MeanVarianceNormalization": Operator(_mean_variance),
    "RMSNormalization": Operator(partial(_layer, centred=False)),
}
