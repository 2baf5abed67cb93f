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


def transposed_axes(node: ir.Node, kernel: Sequence[int]) -> list[TransposedAxis]:
    """Each spatial dimension of a ConvTranspose; where the size of the result is given, pads follow from it.

    Args:
        kernel: weights along each dimension.
    Source: ONNX's specification of ConvTranspose.
    """
    x = node.inputs[0]
    assert x is not None
    given, sizes, rank = static_shape(x)[2:], static_shape(node.outputs[0])[2:], len(kernel)
    strides = node.attributes.get_ints("strides", [1] * rank)
    dilations = node.attributes.get_ints("dilations", [1] * rank)
    more = node.attributes.get_ints("output_padding", [0] * rank)
    pads = node.attributes.get_ints("pads", [0] * (2 * rank))
    auto = node.attributes.get_string("auto_pad", "NOTSET")
    axes = []
    for i in range(rank):
        pad = 0 if auto == "VALID" else pads[i]
        if auto.startswith("SAME") or "output_shape" in node.attributes:
            full = strides[i] * (given[i] - 1) + more[i] + dilations[i] * (kernel[i] - 1) + 1
            total = max(0, full - sizes[i])
            pad = total // 2 if auto == "SAME_UPPER" else total - total // 2
        axes.append(TransposedAxis(given[i], sizes[i], strides[i], dilations[i], kernel[i], pad))
    return axes
