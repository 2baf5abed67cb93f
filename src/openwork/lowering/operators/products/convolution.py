"""Convolutions."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import static_shape, transposed_axes
from openwork.lowering.draft import Draft, input_name, output_name
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.indexing import gathered
from openwork.lowering.operators.moving import padded
from openwork.lowering.operators.rule import Operator, node_name
from openwork.lowering.steps import Conv, Step
from openwork.lowering.windows import window_of

# Which pixel a tap sees at a place along one axis, where it sees none.
OUTSIDE = -1


def _conv(node: ir.Node, draft: Draft) -> Step | list[Step]:
    """As a matrix product of all that each window sees where the weight is known only at run time, or where there are
    more than 2 spatial dimensions: its zeros do not pay there."""
    weight, bias = input_name(node, 1), _bias(node)
    window, groups = window_of(node, draft.shape_of(weight)[2:]), node.attributes.get_int("group", 1)
    parts, x, shape = Composition(node, draft), input_name(node), static_shape(node.outputs[0])

    def conv(name: str, y: str, bias: str | None = None) -> Conv:
        return Conv(name, x, y, weight, bias, window.strides, window.pads, window.dilations, groups)

    if weight in draft.constants and len(window.kernel) <= 2:
        if bias is None or bias in draft.constants:
            return conv(node_name(node), output_name(node), bias)
        return parts.end(_plus(parts, parts.step(conv, shape, "float32"), bias))
    sizes = parts.shape(x)[2:]
    tables = []
    for axis, size in enumerate(sizes):
        taps, pixels = np.arange(window.kernel[axis])[:, None], np.arange(shape[2 + axis])
        at = pixels * window.strides[axis] + taps * window.dilations[axis] - window.pads[axis]
        tables.append(np.where((at >= 0) & (at < size), at, OUTSIDE))
    rows = parts.reshape(weight, groups, shape[1] // groups, prod(parts.shape(weight)[1:]))
    return parts.end(_plus(parts, _by_matmul(parts, x, rows, _places(tables, sizes), shape), bias))


def _conv_transpose(node: ir.Node, draft: Draft) -> list[Step]:
    """With a constant weight it is a Conv and moves of elements; otherwise a matrix product, as Conv is."""
    weight, groups = input_name(node, 1), node.attributes.get_int("group", 1)
    parts, x, shape = Composition(node, draft), input_name(node), static_shape(node.outputs[0])
    inner, outer, *kernel = parts.shape(weight)
    tables = []
    for axis in transposed_axes(node, kernel):
        taps, pixels = np.arange(axis.kernel)[:, None], np.arange(axis.size)
        at, rest = np.divmod(pixels + axis.pad - taps * axis.dilation, axis.stride)
        tables.append(np.where((rest == 0) & (at >= 0) & (at < axis.given), at, OUTSIDE))
    by_group = parts.reshape(weight, groups, inner // groups, outer, prod(kernel))
    rows = parts.reshape(parts.transpose(by_group, 0, 2, 1, 3), groups, outer, inner // groups * prod(kernel))
    y = _by_matmul(parts, x, rows, _places(tables, parts.shape(x)[2:]), shape)
    return parts.end(_plus(parts, y, _bias(node)))


def _bias(node: ir.Node) -> str | None:
    return input_name(node, 2) if len(node.inputs) > 2 and node.inputs[2] is not None else None


def _plus(parts: Composition, y: str, bias: str | None) -> str:
    """With one number added to each channel."""
    if bias is None:
        return y
    return parts.add(y, parts.reshape(bias, *parts.shape(bias), *[1] * (len(parts.shape(y)) - 2)))


def _places(tables: Sequence[NDArray[np.int64]], sizes: Sequence[int]) -> NDArray[np.int64]:
    """int64[taps, pixels]: which pixel of the flattened image each tap sees, one beyond the last where it sees none.

    tables: the same along each axis.
    """
    rank = len(tables)
    places, inside = np.zeros((), np.int64), np.ones((), np.bool_)
    for axis, table in enumerate(tables):
        spread = np.expand_dims(table, [at for at in range(2 * rank) if at % rank != axis])  # tap axes, then pixel axes
        places, inside = places * sizes[axis] + spread, inside & (spread != OUTSIDE)
    return np.where(inside, places, prod(sizes)).reshape(prod(map(len, tables)), -1)


def _by_matmul(parts: Composition, x: str, weight: str, places: NDArray[np.int64], shape: Sequence[int]) -> str:
    """weight [groups, outputs / groups, inputs / groups * taps] times what the taps see at each pixel."""
    images, channels, *sizes = parts.shape(x)
    groups = parts.shape(weight)[0]
    flat = parts.reshape(x, images, channels, prod(sizes))
    flat = padded(parts, flat, [0, 0, 0, 0, 0, int(places.max() == prod(sizes))])
    seen = gathered(parts, flat, 2, parts.constant(places.astype(np.int32)))
    columns = parts.reshape(seen, images, groups, channels // groups * len(places), places.shape[1])
    return parts.reshape(parts.matmul(weight, columns), *shape)


OPERATORS: Mapping[str, Operator] = {
    "Conv": Operator(_conv),
    "ConvTranspose": Operator(_conv_transpose),
}
