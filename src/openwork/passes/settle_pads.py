"""Pads in numbers, where ONNX's rules read `auto_pad` otherwise than onnxruntime."""

from collections.abc import Sequence

import onnx_ir as ir

from openwork.graph import operator_of, settle_transposed_pads, static_shape

_POOLS = ("AveragePool", "LpPool", "MaxPool")


def settle_pads(node: ir.Node) -> bool:
    """Write the pads of one ConvTranspose or pool as numbers, in place.

        before: MaxPool<auto_pad="SAME_UPPER", kernel_shape=[3], dilations=[2]>(x[1, 1, 9])
        after:  MaxPool<pads=[1, 1], kernel_shape=[3], dilations=[2]>(x)

    What auto_pad SAME asks for is not the same for everybody where a pool has dilations, or a ConvTranspose an
    output_padding: ONNX's shape inference gives the first the size of its input over the stride, onnxruntime pads as if
    there were no dilations.

    Requires: the shapes of inputs are known.
    Ensures: no auto_pad SAME and no output_shape is left, unless attributes contradict each other, for shape inference
        to tell; or windows of a pool lie so far apart that onnxruntime cuts pixels off in front of the first, or they
        are larger than the padded image, for `lower` to refuse.
    Source: onnxruntime's conv_transpose_attributes.h and pool_attributes.h.
    """
    x = node.inputs[0] if node.inputs else None
    if x is None or x.shape is None or len(x.shape) < 3:
        return False
    if operator_of(node) == "ConvTranspose":
        return _of_transposed(node, len(x.shape) - 2)
    return operator_of(node) in _POOLS and _of_pool(node, static_shape(x)[2:])


def _of_transposed(node: ir.Node, rank: int) -> bool:
    weight = node.inputs[1] if len(node.inputs) > 1 else None
    if weight is None or weight.shape is None or len(weight.shape) != rank + 2:
        return False
    if not _have(node, rank, "strides", "dilations", "output_padding"):
        return False
    if "output_shape" in node.attributes and len(node.attributes.get_ints("output_shape", [])) < rank:
        return False
    return settle_transposed_pads(node, static_shape(weight)[2:])


def _of_pool(node: ir.Node, sizes: tuple[int, ...]) -> bool:
    kernel, rank = node.attributes.get_ints("kernel_shape", []), len(sizes)
    if len(kernel) != rank or not _have(node, rank, "strides", "dilations"):
        return False
    strides = node.attributes.get_ints("strides", [1] * rank)
    if min(strides) < 1:
        return False
    return _settle_same(node, sizes, kernel, strides) | _drop_idle_ceil_mode(node, sizes, kernel, strides)


def _settle_same(node: ir.Node, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> bool:
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        return False
    dilations = node.attributes.get_ints("dilations", [1] * len(sizes))
    heads, tails = [], []
    for size, stride, width, dilation in zip(sizes, strides, kernel, dilations, strict=True):
        total = (-(-size // stride) - 1) * stride + width - size
        if total < -1 or size + total < dilation * (width - 1) + 1:
            return False
        heads.append(max(0, total // 2 if auto == "SAME_UPPER" else total - total // 2))
        tails.append(max(0, total) - heads[-1])
    del node.attributes["auto_pad"]
    node.attributes.add(ir.AttrInt64s("pads", [*heads, *tails]))
    return True


def _drop_idle_ceil_mode(node: ir.Node, sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]) -> bool:
    """Where each window that ceil_mode adds would begin in the padding at the end; ONNX's older rules count those."""
    rank = len(sizes)
    pads = node.attributes.get_ints("pads", [0] * (2 * rank))
    if not node.attributes.get_int("ceil_mode", 0) or len(pads) != 2 * rank:
        return False
    dilations = node.attributes.get_ints("dilations", [1] * rank)
    added = []
    for axis, (size, width, stride) in enumerate(zip(sizes, kernel, strides, strict=True)):
        room = size + pads[axis] + pads[rank + axis] - dilations[axis] * (width - 1) - 1
        added.append(room % stride != 0 and (room // stride + 1) * stride < size + pads[axis])
    if any(added):
        return False
    del node.attributes["ceil_mode"]
    return True


def _have(node: ir.Node, rank: int, *names: str) -> bool:
    """Whether attributes have a number for each dimension, if they are there."""
    return all(len(node.attributes.get_ints(name, [1] * rank)) == rank for name in names)
