"""A transposed convolution is a convolution whose channels are pixels."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import Constants, TransposedAxis, constant, operator_of, static_shape, transposed_axes

Array = NDArray[np.generic]

# How many times larger a weight may become by the zeros that fill up.
_MOST_GROWTH = 64


def expand_conv_transpose(model: ir.Model) -> bool:
    """Write ConvTranspose with constant weights as Conv, Reshape, Transpose, Reshape and, if need be, Slice.

        before: ConvTranspose<strides=[2, 2], kernel 4x4>(x[1, 8, 9, 9], w[8, 6, 4, 4])
        after:  c = Conv<kernel 2x2>(x, w'[24, 8, 2, 2]), its channels moved between the pixels: [1, 6, 18, 18]

    Pixel s * u + r of the result, r < s, sees only every s-th weight: those are the weights of phase r. All phases
    are channels of one convolution with stride 1. Where phases have fewer weights than others, zeros fill up.
    Weights and bias behind a DequantizeLinear stay integers, their scales are repeated.

    Requires: constants are initializers, static shapes, pads in numbers (`infer_shapes`).
    Ensures: the result keeps its name. A ConvTranspose stays if its weight is no constant, its scales are per input
        channel, or its strides are so large that the new weight would be mostly zeros.
    """
    changed, constants = False, Constants(model.graph)
    for node in model.graph:
        if operator_of(node) == "ConvTranspose":
            weight, bias = _operand(node, 1), _operand(node, 2)
            if weight is None or weight.axis not in (None, 1) or not (bias is not None or _absent(node, 2)):
                continue
            changed |= _expand(node, weight, bias, constants)
    return changed


@dataclass(frozen=True)
class _Operand:
    """A constant input, as floats, or as the integers in front of a DequantizeLinear and its other inputs.

    axis: of the scales, None if there is one for all. params: scale and zero point.
    """

    name: str
    array: Array
    axis: int | None = None
    params: tuple[Array, ...] = ()


def _absent(node: ir.Node, index: int) -> bool:
    return index >= len(node.inputs) or node.inputs[index] is None


def _operand(node: ir.Node, index: int) -> _Operand | None:
    value = None if _absent(node, index) else node.inputs[index]
    array = constant(value)
    if value is None or array is not None:
        return None if array is None or value is None else _Operand(str(value.name), array)
    producer = value.producer()
    if producer is None or operator_of(producer) != "DequantizeLinear" or producer.attributes.get_int("block_size"):
        return None
    arrays = [constant(each) for each in producer.inputs]
    if any(each is None for each in arrays):
        return None
    integers, *params = (each for each in arrays if each is not None)
    axis = producer.attributes.get_int("axis", 1) % max(integers.ndim, 1) if params[0].size > 1 else None
    flat = [each.reshape(-1) if axis is not None else each.reshape(()) for each in params]
    assert producer.inputs[0] is not None
    return _Operand(str(producer.inputs[0].name), integers, axis, tuple(flat))


@dataclass(frozen=True)
class _Axis(TransposedAxis):
    """One spatial dimension, and which weight each tap of the convolution is.

    Pixel s * u + r of the result is the sum over j of input[u - j] * weight[r + pad + s * j]; j runs from `first` to
    `last`, so that the convolution has last - first + 1 taps, the last j at first.
    """

    @property
    def groups(self) -> int:
        """How many u there are."""
        return ceil(self.size / self.stride)

    @property
    def last(self) -> int:
        return max(0, (self.dilation * (self.kernel - 1) - self.pad) // self.stride)

    @property
    def first(self) -> int:
        return min(-((self.stride - 1 + self.pad) // self.stride), self.groups - self.given)

    @property
    def taps(self) -> int:
        return self.last - self.first + 1

    @property
    def pads(self) -> tuple[int, int]:
        return self.last, self.groups - self.given - self.first

    def weight(self, phase: int, tap: int) -> int | None:
        """Index of the weight, None for a zero that fills up."""
        at, rest = divmod(phase + self.pad + self.stride * (self.last - tap), self.dilation)
        return at if rest == 0 and 0 <= at < self.kernel else None


def _expand(node: ir.Node, weight: _Operand, bias: _Operand | None, constants: Constants) -> bool:
    """Whether the weight did not become too large for that."""
    x, y = node.inputs[0], node.outputs[0]
    assert x is not None and node.graph is not None
    groups = node.attributes.get_int("group", 1)
    axes = [_Axis(*astuple(axis)) for axis in transposed_axes(node, weight.array.shape[2:])]
    phases = prod(axis.stride for axis in axes)
    if phases * prod(axis.taps for axis in axes) > _MOST_GROWTH * prod(axis.kernel for axis in axes):
        return False
    channels = weight.array.shape[1] * groups
    nodes = _Nodes(node, constants)
    operands = [nodes.operand(_phase_weight(weight, groups, axes))]
    if bias is not None:
        repeated = tuple(np.repeat(each, phases) if each.ndim else each for each in bias.params)
        operands.append(nodes.operand(replace(bias, array=np.repeat(bias.array, phases), params=repeated)))
    images, pixels, strides = static_shape(x)[0], [axis.groups for axis in axes], [axis.stride for axis in axes]
    rank = len(axes)
    pads = [axis.pads[side] for side in (0, 1) for axis in axes]
    result = nodes.add("Conv", x, *operands, shape=(images, channels * phases, *pixels), group=groups, pads=pads)
    if phases > 1:
        # [images, channels, phase y, phase x, y, x] -> [images, channels, y, phase y, x, phase x]
        apart = nodes.shape("Reshape", result, (images, channels, *strides, *pixels))
        perm = [0, 1, *(at for axis in range(rank) for at in (2 + rank + axis, 2 + axis))]
        woven = [size for axis in axes for size in (axis.groups, axis.stride)]
        mixed = nodes.add("Transpose", apart, shape=(images, channels, *woven), perm=perm)
        result = nodes.shape("Reshape", mixed, (images, channels, *(axis.groups * axis.stride for axis in axes)))
    if any(axis.groups * axis.stride != axis.size for axis in axes):
        numbers = [[0] * rank, [axis.size for axis in axes], [2 + axis for axis in range(rank)]]
        limits = [
            nodes.constant(name, np.array(n)) for name, n in zip(("starts", "ends", "axes"), numbers, strict=True)
        ]
        result = nodes.add("Slice", result, *limits, shape=static_shape(y))
    ir.convenience.replace_nodes_and_values(node.graph, node, [node], nodes.nodes, [y], [result])
    return True


def _phase_weight(weight: _Operand, groups: int, axes: Sequence[_Axis]) -> _Operand:
    """[in, out / groups, kernel...] -> [out * phases, in / groups, taps...]; phases of a channel lie together."""
    channels_in, out, *kernel = weight.array.shape
    by_group = weight.array.reshape(groups, channels_in // groups, out, *kernel)
    by_place = np.moveaxis(by_group, (0, 2, 1), (-3, -2, -1))
    strides, taps = [axis.stride for axis in axes], [axis.taps for axis in axes]
    shape = (groups, out, *strides, channels_in // groups, *taps)
    zero = weight.params[1] if len(weight.params) > 1 else np.zeros((), weight.array.dtype)
    phased = np.empty(shape, weight.array.dtype)
    phased[...] = zero.reshape(-1, *[1] * (len(shape) - 2))
    for phase in product(*map(range, strides)):
        for tap in product(*map(range, taps)):
            places = [axis.weight(r, t) for axis, r, t in zip(axes, phase, tap, strict=True)]
            inside = [place for place in places if place is not None]
            if inside == places:
                here: tuple[Any, ...] = (slice(None), slice(None), *phase, slice(None), *tap)
                phased[here] = by_place[tuple(inside)]
    repeated = tuple(np.tile(np.repeat(each, prod(strides)), groups) if each.ndim else each for each in weight.params)
    flat = phased.reshape(groups * out * prod(strides), channels_in // groups, *taps)
    return replace(weight, array=flat, axis=None if weight.axis is None else 0, params=repeated)


class _Nodes:
    """The nodes that take the place of one, named after it."""

    def __init__(self, node: ir.Node, constants: Constants):
        self.constants, self.name, self.dtype = constants, node.name, node.outputs[0].dtype
        self.nodes: list[ir.Node] = []

    def add(
        self, operator: str, *inputs: ir.Value, shape: Sequence[int], **attributes: int | Sequence[int]
    ) -> ir.Value:
        node = ir.node(operator, inputs, attributes, name=f"{self.name}/{len(self.nodes)}" if self.nodes else self.name)
        value = node.outputs[0]
        value.name, value.shape = f"{self.name}/{operator}{len(self.nodes)}", ir.Shape(shape)
        assert self.dtype is not None
        value.type = ir.TensorType(self.dtype)
        self.nodes.append(node)
        return value

    def shape(self, operator: str, x: ir.Value, shape: Sequence[int]) -> ir.Value:
        return self.add(operator, x, self.constant("shape", np.array(shape)), shape=shape)

    def constant(self, name: str, array: Array) -> ir.Value:
        value = self.constants.add(f"{self.name}/{name}", array)
        value.shape, value.type = ir.Shape(array.shape), ir.TensorType(ir.DataType.from_numpy(array.dtype))
        return value

    def operand(self, operand: _Operand) -> ir.Value:
        value = self.constant(operand.name, operand.array)
        if not operand.params:
            return value
        params = [self.constant(f"{operand.name}/params", each) for each in operand.params]
        attributes = {} if operand.axis is None else {"axis": operand.axis}
        return self.add("DequantizeLinear", value, *params, shape=operand.array.shape, **attributes)
