"""Strides and padding of operators that move a window over an image."""

import tflite

from openwork.frontends.tflite.draft import Unsupported
from openwork.frontends.tflite.network import Operator


def strides_of(op: Operator) -> tuple[int, int]:
    strides = (op.option("StrideH"), op.option("StrideW"))
    if min(strides) < 1:
        raise Unsupported(f"strides {strides}")
    return strides


def pads_of(
    op: Operator, size: tuple[int, ...], kernel: tuple[int, ...], strides: tuple[int, ...], dilations: tuple[int, ...]
) -> list[int]:
    """Elements of padding: top, left, bottom, right. SAME pads by what the last window lacks, the odd one behind."""
    padding = op.option("Padding")
    if padding == tflite.Padding.VALID:
        return [0, 0, 0, 0]
    if padding != tflite.Padding.SAME:
        raise Unsupported(f"padding {padding}")
    total = []
    for length, taps, stride, dilation in zip(size, kernel, strides, dilations, strict=True):
        last = -(-length // stride) - 1
        total.append(max(last * stride + (taps - 1) * dilation + 1 - length, 0))
    return [*(lack // 2 for lack in total), *(lack - lack // 2 for lack in total)]
