"""The spatial dimensions of a transposed convolution."""

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from openwork.graph.model import static_shape


@dataclass(frozen=True)
class TransposedAxis:
    """Pixel u of the input and weight k meet in pixel stride * u + dilation * k - pad of the result.

    given, size: how many pixels the input and the result have. kernel: how many weights there are.
    """

    given: int
    size: int
    stride: int
    dilation: int
    kernel: int
    pad: int


def settle_transposed_pads(node: ir.Node, kernel: Sequence[int]) -> bool:
    """Write the pads of a ConvTranspose as numbers, in place.

        before: ConvTranspose<auto_pad="SAME_UPPER", strides=[2], output_padding=[1]>(x[1, 1, 4], w[1, 1, 3])
        after:  ConvTranspose<pads=[1, 1], strides=[2], output_padding=[1]>(x, w)

    With SAME the result is `strides` times as large as the input where the kernel reaches so far, whatever the
    output_padding; with `output_shape` it is as told. ONNX's shape inference adds the output_padding in the first case.

    Args:
        kernel: weights along each dimension.
    Source: onnxruntime's conv_transpose_attributes.h.
    """
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    if auto == "NOTSET" and "output_shape" not in node.attributes:
        return False
    rank = len(kernel)
    sizes = _full_sizes(node, kernel)
    assert node.inputs[0] is not None
    given = static_shape(node.inputs[0])[2:]
    strides = node.attributes.get_ints("strides", [1] * rank)
    wanted = list(node.attributes.get_ints("output_shape", [x * s for x, s in zip(given, strides, strict=True)]))
    heads, tails = [0] * rank, [0] * rank
    more = list(node.attributes.get_ints("output_padding", [0] * rank))
    if auto != "VALID" or "output_shape" in node.attributes:
        for axis, (full, size) in enumerate(zip(sizes, wanted[-rank:], strict=True)):
            total = max(0, full - size)
            heads[axis] = total // 2 if auto == "SAME_UPPER" else total - total // 2
            tails[axis] = total - heads[axis]
            if "output_shape" in node.attributes:
                more[axis] += max(0, size - full)
    for name in ("auto_pad", "output_shape"):
        node.attributes.pop(name, None)
    node.attributes.add(ir.AttrInt64s("pads", [*heads, *tails]))
    if any(more):
        node.attributes.add(ir.AttrInt64s("output_padding", more))
    return True


def _full_sizes(node: ir.Node, kernel: Sequence[int]) -> list[int]:
    """How many pixels the result has before any are cut off."""
    rank = len(kernel)
    assert node.inputs[0] is not None
    given = static_shape(node.inputs[0])[2:]
    strides = node.attributes.get_ints("strides", [1] * rank)
    dilations = node.attributes.get_ints("dilations", [1] * rank)
    more = node.attributes.get_ints("output_padding", [0] * rank)
    return [strides[i] * (given[i] - 1) + more[i] + dilations[i] * (kernel[i] - 1) + 1 for i in range(rank)]


def transposed_axes(node: ir.Node, kernel: Sequence[int]) -> list[TransposedAxis]:
    """Each spatial dimension of a ConvTranspose.

    Args:
        kernel: weights along each dimension.
    Requires: `settle_transposed_pads` was called.
    Source: ONNX's specification of ConvTranspose.
    """
    x = node.inputs[0]
    assert x is not None
    rank = len(kernel)
    given, full = static_shape(x)[2:], _full_sizes(node, kernel)
    strides = node.attributes.get_ints("strides", [1] * rank)
    dilations = node.attributes.get_ints("dilations", [1] * rank)
    pads = node.attributes.get_ints("pads", [0] * (2 * rank))
    return [
        TransposedAxis(given[i], full[i] - pads[i] - pads[rank + i], strides[i], dilations[i], kernel[i], pads[i])
        for i in range(rank)
    ]
