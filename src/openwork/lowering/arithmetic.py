"""NumPy that several steps' meanings share: bounds, exact sums, padding and windows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from openwork.graph import Rounding

Array = NDArray[Any]
Values = Mapping[str, Array]


@dataclass(frozen=True)
class Buffer:
    """A typed tensor: shape in elements, dtype as NumPy names it (`float32`, `uint8`, `int8`, ...)."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Bounds:
    """Float results are clamped into [low, high]: Relu is (0, inf), Relu6 is (0, 6), none is (-inf, inf)."""

    low: float = -inf
    high: float = inf

    def clamp(self, x: Array) -> Array:
        return np.clip(x, np.float32(self.low), np.float32(self.high))


UNBOUNDED = Bounds()


def whole(real: Array, rounding: Rounding) -> Array:
    """The nearest whole numbers: half away from zero for `q31`, as TensorFlow Lite has it, half to even elsewhere."""
    if rounding != "q31":
        return np.rint(real)
    with np.errstate(invalid="ignore"):  # infinity has no fraction
        cut = np.trunc(real)
        return cut + np.sign(real) * (np.abs(real - cut) >= np.float32(0.5))


def rounded(real: Array, zero_point: int, low: int, high: int) -> Array:
    """Half to even, clamped while still float32: whole numbers that fit the integer type they are for.

    What is not a number becomes `low`, as onnxruntime has it.
    """
    return np.minimum(np.fmax(np.rint(real) + np.float32(zero_point), np.float32(low)), np.float32(high))


def fused(a: Array, b: Array | np.float32, c: Array | np.float32) -> Array:
    """a * b + c of float32, rounded once, as processors multiply and add.

    In float64 the product is exact, and the sum is rounded to odd: rounding that again is as good as rounding once.

    Source: Boldo & Melquiond 2008, Emulation of FMA and correctly rounded sums.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        product = a.astype(np.float64) * np.float64(b)
        total = product + np.float64(c)
        back = total - product
        rest = (product - (total - back)) + (np.float64(c) - back)
        is_cut = (np.abs(rest) > 0) & (total.view(np.int64) & 1 == 0)
        odd = np.where(is_cut, np.nextafter(total, np.copysign(np.inf, rest)), total)
        return odd.astype(np.float32)


def dequantized(integers: Array, zero_point: int, scale: float) -> Array:
    """float32(integer - zero_point) * scale."""
    return (integers.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)


def exact(x: Array, zero_point: int, weight: Array) -> Array:
    """Integers x - zero_point as float64, for BLAS: proved to be so small that every sum of products is exact."""
    centred = x.astype(np.float64) - zero_point
    assert np.abs(centred).max() * sums_of_sizes(weight).max() < 2**53, "sums of products are not exact in float64"
    return centred


def sums_of_sizes(weight: Array) -> Array:
    """The sum of |integer| of each row, int64[rows], without a wider copy of all."""
    rows = weight.reshape(len(weight), -1)
    return np.maximum(rows, 0).sum(axis=1, dtype=np.int64) - np.minimum(rows, 0).sum(axis=1, dtype=np.int64)


Accumulator = Literal["int32", "int64"]


def accumulated(whole: Array, accumulator: Accumulator) -> Array:
    """Sums that were proved to fit their accumulator. What does not fit would wrap around, as it does in hardware."""
    return whole.astype(np.int64).astype(accumulator, copy=False)


def int32(whole: Array) -> Array:
    """An int32 accumulator."""
    return accumulated(whole, "int32")


def padded(x: Array, pads: Sequence[int], value: float) -> Array:
    """x [N, C, spatial...] with `value` around it; pads as in ONNX: all begins, then all ends."""
    spatial = len(pads) // 2
    widths = [(0, 0), (0, 0), *zip(pads[:spatial], pads[spatial:], strict=True)]
    return np.pad(x, widths, constant_values=value) if any(pads) else x


def windows(
    padded: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Yield each tap of the kernel and what it sees at all output pixels: a view [N, C, out spatial...]."""
    axes = list(zip(padded.shape[2:], kernel, strides, dilations, strict=True))
    pixels = [(size - dilation * (width - 1) - 1) // stride + 1 for size, width, stride, dilation in axes]
    for tap in np.ndindex(*kernel):
        starts = [at * dilation for at, dilation in zip(tap, dilations, strict=True)]
        seen = tuple(
            slice(start, start + stride * (count - 1) + 1, stride)
            for start, stride, count in zip(starts, strides, pixels, strict=True)
        )
        yield tap, padded[:, :, *seen]
