"""Steps that resize or sample images: results are elements of the input, or sums of a few with weights."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.arithmetic import Array, Buffer, Values, dequantized, rounded
from openwork.lowering.fixed_point import half_away
from openwork.lowering.steps.reads import ReadsInput, ReadsInputs

# Fractional bits of a weight in fixed point.
FRACTION = 10


@dataclass(frozen=True, eq=False)
class Resampling:
    """How one axis is resized: output element i is the sum over k of weights[i, k] * input element places[i, k].

    axis: non-negative. places: int32[size, taps]. weights: float32[size, taps], or None for one tap of weight 1
    (nearest): then elements are only moved.
    """

    axis: int
    places: NDArray[np.int32]
    weights: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class FixedResampling:
    """The same in fixed point: int32 weights have 10 fractional bits, and those of one element add up to 1."""

    axis: int
    places: NDArray[np.int32]
    weights: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Resize(ReadsInput):
    """Images resized along some axes, one after the other, in the order of `axes`. Nearest takes any dtype.

    fixed: how models that round by `q31` or `shift` resize integers; None if there is no way.
    """

    name: str
    input: str
    output: str
    axes: tuple[Resampling, ...]
    fixed: tuple[FixedResampling, ...] | None = None

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        for each in self.axes:
            taps = np.take(x, each.places, each.axis)  # [..., size, taps, ...]
            if each.weights is None:
                x = taps.squeeze(each.axis + 1)
            else:
                trailing = [1] * (x.ndim - each.axis - 1)
                x = (taps * each.weights.reshape(*each.weights.shape, *trailing)).sum(each.axis + 1, dtype=x.dtype)
        return x


@dataclass(frozen=True, eq=False)
class IntegerResize(ReadsInput):
    """Linear resizing of 8-bit integers to 8-bit integers: every bit is determined, and as onnxruntime has it.

    In float32 and this order, along two axes (along one there are two terms of one factor):

        x = float32(input - input_zero_point) * input_scale
        y = (w[0] v[0]) x[0, 0] + (w[0] v[1]) x[0, 1] + (w[1] v[0]) x[1, 0] + (w[1] v[1]) x[1, 1]
        output = clip(rint(y / scale) + zero_point, low, high)

    where w and v are the weights of the first and second axis, x[i, j] the element at place i of the first and j of
    the second; terms are added from left to right, and nothing is fused.
    """

    name: str
    input: str
    output: str
    axes: tuple[Resampling, ...]
    input_scale: float
    input_zero_point: int
    scale: float
    zero_point: int
    low: int
    high: int

    def compute(self, values: Values, output: Buffer) -> Array:
        x = dequantized(values[self.input], self.input_zero_point, self.input_scale)
        y = _sum(x, self.axes)
        return rounded(y / np.float32(self.scale), self.zero_point, self.low, self.high)


@dataclass(frozen=True, eq=False)
class FixedResize(ReadsInput):
    """Linear resizing of 8-bit integers to 8-bit integers of the same coding, in fixed point:

        y = clip(sum of products of weights and integers / 2^(10 * axes), low, high)    half away from zero

    Source: TensorFlow Lite, reference_ops::ResizeBilinearInteger.
    """

    name: str
    input: str
    output: str
    axes: tuple[FixedResampling, ...]
    low: int
    high: int

    def compute(self, values: Values, output: Buffer) -> Array:
        y = _sum(values[self.input].astype(np.int64), self.axes)
        return np.clip(half_away(y, FRACTION * len(self.axes)), self.low, self.high)


SampleMode = Literal["nearest", "linear", "cubic"]
SamplePadding = Literal["zeros", "border", "reflection"]
# Coordinates are limited to what is far outside of every image, and still a whole number of float32's.
FARTHEST = 2.0**24


@dataclass(frozen=True)
class GridSample(ReadsInputs):
    """Images [N, C, spatial...] (inputs[0]) where a grid [N, out spatial..., dimensions] (inputs[1]) points to: [N, C,
    out spatial...]. Two or three spatial dimensions.

    A grid's coordinates are those of the last dimension first, and go from -1 to 1: the outer edges of the image, or
    the centres of its outermost pixels (`align_corners`). They become pixels in float32, in this order:

        at = ((grid + 1) * size - 1) / 2, or (grid + 1) / 2 * (size - 1)

    mode: nearest takes the pixel rint(at); linear weighs the two around it, cubic (two dimensions) four, by the
    convolution of Keys with a = -0.75. padding: what a pixel outside of the image is: 0, the nearest inside, or that
    which reflection at the edges leads to. A coordinate that is no number is far below.
    """

    name: str
    inputs: tuple[str, str]
    output: str
    mode: SampleMode
    padding: SamplePadding
    align_corners: bool

    def compute(self, values: Values, output: Buffer) -> Array:
        x, grid = (values[name] for name in self.inputs)
        sizes = x.shape[2:]
        taps = [self._taps(grid[..., -1 - axis].astype(np.float32), size) for axis, size in enumerate(sizes)]
        images = np.arange(len(x)).reshape(-1, *[1] * len(sizes))
        result = np.zeros(output.shape, x.dtype)
        for corner in product(*taps):
            places, weights = zip(*corner, strict=True)
            pixels = np.moveaxis(x[images, :, *places], -1, 1)
            result += pixels * reduce(np.multiply, weights)[:, None].astype(x.dtype)
        return result

    def _taps(self, grid: Array, size: int) -> list[tuple[Array, Array]]:
        """The places along an axis that each result is made of, and their weights: 0 for padding with zeros."""
        one, half = np.float32(1), np.float32(0.5)
        with np.errstate(invalid="ignore", over="ignore"):  # a coordinate may be infinite, or no number
            if self.align_corners:
                at = (grid + one) * half * np.float32(size - 1)
            else:
                at = ((grid + one) * np.float32(size) - one) * half
        at = np.fmin(np.fmax(at, np.float32(-FARTHEST)), np.float32(FARTHEST))
        first = np.rint(at) if self.mode == "nearest" else np.floor(at)
        above = at - first
        weights = [np.ones_like(at)]
        if self.mode == "linear":
            weights = [one - above, above]
        elif self.mode == "cubic":
            first -= 1
            weights = [_far(one + above), _near(above), _near(one - above), _far(np.float32(2) - above)]
        places = [first.astype(np.int64) + tap for tap in range(len(weights))]
        return [self._padded(place, weight, size) for place, weight in zip(places, weights, strict=True)]

    def _padded(self, place: Array, weight: Array, size: int) -> tuple[Array, Array]:
        last = size - 1
        if self.padding == "zeros":
            weight = np.where((place < 0) | (place > last), np.float32(0), weight)
        elif self.padding == "reflection":
            period = 2 * (last if self.align_corners else size) or 1
            turned = place % period
            place = np.minimum(turned, period - turned - (0 if self.align_corners else 1))
        return np.clip(place, 0, last), weight


def _near(distance: Array) -> Array:
    """The cubic convolution kernel up to a distance of 1. Source: Keys 1981, doi:10.1109/TASSP.1981.1163711."""
    return (np.float32(1.25) * distance - np.float32(2.25)) * distance * distance + np.float32(1)


def _far(distance: Array) -> Array:
    """The same from 1 to 2."""
    return ((np.float32(-0.75) * distance + np.float32(3.75)) * distance - np.float32(6)) * distance + np.float32(3)


def _sum(x: Array, axes: Sequence[Resampling | FixedResampling]) -> Array:
    """Of weight * element over all corners, those of the last axis first; in the dtype of x."""
    return reduce(np.add, (weight * corner for weight, corner in _corners(x, axes)))


def _corners(x: Array, axes: Sequence[Resampling | FixedResampling]) -> Iterator[tuple[Array, Array]]:
    for taps in product(*(range(axis.places.shape[1]) for axis in axes)):
        weight, corner = np.ones((), x.dtype), x
        for tap, axis in zip(taps, axes, strict=True):
            assert axis.weights is not None
            corner = np.take(corner, axis.places[:, tap], axis.axis)
            weight = weight * axis.weights[:, tap].astype(x.dtype).reshape(-1, *[1] * (x.ndim - axis.axis - 1))
        yield weight, corner
