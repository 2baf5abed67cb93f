"""How a kernel moves over its input: strides, padding and dilations of Conv and the pools."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from openwork.graph import operator_of, static_shape
from openwork.lowering.draft import Unsupported


@dataclass(frozen=True)
class Window:
    """All one element per spatial dimension, except pads: (begin..., end...).

    given: the pads that the node asks for; with ceil_mode less than `pads`, which make the last window a whole one.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    given: tuple[int, ...]


# Pixels along one axis, far beyond any image, for which a list of all positions is still small.
_LARGEST = 1 << 24


def window_of(node: ir.Node, kernel: Sequence[int]) -> Window:
    """Read the window of a Conv, MaxPool or AveragePool, with every kind of automatic padding spelled out.

    With ceil_mode the ends are padded until the last, incomplete window is a whole one.
    Raises: Unsupported: windows that do not fit the shapes.
    """
    source = node.inputs[0]
    assert source is not None
    sizes, pixels = static_shape(source)[2:], static_shape(node.outputs[0])[2:]
    rank = len(sizes)
    if len(kernel) != rank or not rank:
        raise Unsupported(f"its kernel has {len(kernel)} dimensions, its images have {rank}")
    strides = tuple(node.attributes.get_ints("strides", [1] * rank))
    dilations = tuple(node.attributes.get_ints("dilations", [1] * rank))
    begins, ends, given = [], [], []
    for axis, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        reach = dilations[axis] * (kernel[axis] - 1) + 1
        last = (pixels[axis] - 1) * stride
        needed = last + reach - size
        begin, wanted = _padding(node, axis, rank, needed)
        end = max(wanted, needed - begin) if node.attributes.get_int("ceil_mode") else wanted
        if (size + begin + end - reach) // stride * stride != last:
            raise Unsupported(f"its output shape {pixels} does not follow from its input shape {sizes}")
        if max(size, begin, end, reach) >= _LARGEST:
            raise Unsupported(f"its window or image has {_LARGEST} pixels or more along one axis")
        first = np.arange(0, last + 1, stride) - begin
        inside = np.where(
            first < 0, first % dilations[axis], first
        )  # the first tap of each that is not before the image
        if operator_of(node) != "Conv" and not ((inside < size) & (inside < first + reach)).all():
            raise Unsupported("a window lies in the padding alone; onnxruntime and ONNX disagree on those")
        begins.append(begin)
        ends.append(end)
        given.append(wanted)
    return Window(tuple(kernel), strides, (*begins, *ends), dilations, (*begins, *given))


def _padding(node: ir.Node, axis: int, rank: int, needed: int) -> tuple[int, int]:
    """Elements before and after one spatial dimension; `needed` in all for the shape that the output has."""
    half, rest = max(0, needed) // 2, (max(0, needed) + 1) // 2
    match node.attributes.get_string("auto_pad", "NOTSET"):
        case "NOTSET":
            pads = node.attributes.get_ints("pads", [0] * (2 * rank))
            return pads[axis], pads[axis + rank]
        case "VALID":
            return 0, 0
        case "SAME_UPPER" | "SAME_LOWER" if operator_of(node) != "Conv":  # `passes.settle_pads` left it
            raise Unsupported(
                "auto_pad SAME with windows so far apart or so large is read in different ways; give pads"
            )
        case "SAME_UPPER":
            return half, rest
        case "SAME_LOWER":
            return rest, half
        case other:
            raise Unsupported(f"auto_pad {other!r} is no padding of ONNX")
