"""Steps that look along axes: means, sums, largest elements, softmax."""

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.arithmetic import Array, Buffer, Values, rounded
from openwork.lowering.requantize import Requantize, RequantizeMean
from openwork.lowering.steps.reads import ReadsInput

ReduceFunction = Literal["sum", "max", "min", "prod"]


@dataclass(frozen=True, eq=False)
class Mean(ReadsInput):
    """Mean over `axes` (non-negative); whether they are kept is seen from the output's shape.

    Integer (`requantize` is set): y = requantize.mean(sum(input - input_zero_point), count).
    """

    name: str
    input: str
    output: str
    axes: tuple[int, ...]
    input_zero_point: int = 0
    requantize: RequantizeMean | None = None

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        if self.requantize is None:
            return x.mean(self.axes, dtype=x.dtype).reshape(output.shape)
        sums = (x.astype(np.int32) - self.input_zero_point).sum(self.axes, dtype=np.int32)
        count = prod(x.shape[axis] for axis in self.axes)
        return self.requantize.mean(sums, count).reshape(output.shape)


@dataclass(frozen=True, eq=False)
class Reduce(ReadsInput):
    """sum, max, min or product over `axes` (non-negative); whether they are kept is seen from the output's shape.

    float32, int32 or int64. The largest and smallest also of bool, int8 and uint8, unchanged (integers of equal
    quantization). Integer sum (`requantize` is set): y = requantize(sum(input - input_zero_point)), by one scale.
    """

    name: str
    input: str
    output: str
    axes: tuple[int, ...]
    function: ReduceFunction
    input_zero_point: int = 0
    requantize: Requantize | None = None

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        if self.requantize is not None:
            sums = (x.astype(np.int32) - self.input_zero_point).sum(self.axes, dtype=np.int32)
            return self.requantize.apply(sums).reshape(output.shape)
        functions = {"sum": np.add, "max": np.maximum, "min": np.minimum, "prod": np.multiply}
        with np.errstate(all="ignore"):
            return functions[self.function].reduce(x, self.axes, dtype=x.dtype).reshape(output.shape)


@dataclass(frozen=True)
class ArgMax(ReadsInput):
    """Index (int64) of the largest element along a non-negative axis; the first of equals, or the last.

    Whether the axis is kept is seen from the output's shape. float32, int32, int64, int8 or uint8.
    """

    name: str
    input: str
    output: str
    axis: int
    smallest: bool = False
    last: bool = False

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        find = np.argmin if self.smallest else np.argmax
        if not self.last:
            return find(x, self.axis).reshape(output.shape)
        return (x.shape[self.axis] - 1 - find(np.flip(x, self.axis), self.axis)).reshape(output.shape)


@dataclass(frozen=True)
class TopK(ReadsInput):
    """Indices (int64) of the k largest or smallest elements along a non-negative axis, the foremost first.

    k is seen from the output's shape. Of equals the one with the lower index is first; what is not a number comes
    after all that is. float32, int32, int64, int8 or uint8.
    """

    name: str
    input: str
    output: str
    axis: int
    smallest: bool = False

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        if not self.smallest:
            x = ~x if x.dtype.kind in "iu" else -x  # which turns the order around, and overflows nowhere
        order = np.argsort(x, self.axis, kind="stable")
        return np.take(order, np.arange(output.shape[self.axis]), self.axis)


@dataclass(frozen=True)
class Softmax(ReadsInput):
    """exp(x - max(x)) / sum(exp(x - max(x))) along one non-negative axis, float; or the logarithm of it."""

    name: str
    input: str
    output: str
    axis: int
    logarithm: bool = False

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        with np.errstate(invalid="ignore"):  # where all are -infinity there is no answer
            shifted = x - x.max(self.axis, keepdims=True)
        powers = np.exp(shifted)
        sums = powers.sum(self.axis, keepdims=True)
        return shifted - np.log(sums) if self.logarithm else powers / sums


@dataclass(frozen=True, eq=False)
class IntegerSoftmax(ReadsInput):
    """Softmax of 8-bit integers to 8-bit integers along one non-negative axis: every bit is determined.

    With powers = exponentials[max(x) - x] and their sum, both exact:

        factor = 1 / (float32(sum) * scale)
        y = clip(rint(float32(powers) * factor) + zero_point, low, high)     in float32, in this order

    exponentials: int32[256]; entry i is exp(-i * input scale) * 2^30. scale: of the output.
    """

    name: str
    input: str
    output: str
    axis: int
    exponentials: NDArray[np.int32]
    scale: float
    zero_point: int
    low: int
    high: int

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input].astype(np.int32)
        powers = self.exponentials[x.max(self.axis, keepdims=True) - x]
        return _shares(powers, self)


@dataclass(frozen=True, eq=False)
class QuantizedSoftmax(ReadsInput):
    """Softmax of floats to 8-bit integers along one non-negative axis: every bit is determined, if the input's are.

    The same as `IntegerSoftmax`, but for the powers, in float32 and this order:

        distance = (max(x) - x) * resolution
        rest = (distance - rint(distance)) / resolution
        powers = rint(exponentials[rint(distance)] * (1 - rest * (1 - rest / 2)))

    Elements beyond the table or infinitely far from the largest, and what is not a number, have no share.

    exponentials: float32[]; entry i is exp(-i / resolution) * 2^30, the last one is 0. resolution: a power of two.
    """

    name: str
    input: str
    output: str
    axis: int
    exponentials: NDArray[np.float32]
    resolution: int
    scale: float
    zero_point: int
    low: int
    high: int

    def compute(self, values: Values, output: Buffer) -> Array:
        x, last = values[self.input], np.float32(len(self.exponentials) - 1)
        with np.errstate(invalid="ignore", over="ignore"):
            distance = (np.fmax.reduce(x, self.axis, keepdims=True) - x) * np.float32(self.resolution)
        distance = np.where(distance < last, distance, last)
        whole = np.rint(distance)
        rest = (distance - whole) / np.float32(self.resolution)
        factor = np.float32(1) - rest * (np.float32(1) - rest / np.float32(2))
        return _shares(np.rint(self.exponentials[whole.astype(np.int32)] * factor).astype(np.int32), self)


def _shares(powers: Array, step: IntegerSoftmax | QuantizedSoftmax) -> Array:
    """Of each power in the sum of all along the axis, in integers."""
    sums = powers.sum(step.axis, keepdims=True, dtype=np.int64)
    factor = np.float32(1) / (np.maximum(sums, 1).astype(np.float32) * np.float32(step.scale))
    return rounded(powers.astype(np.float32) * factor, step.zero_point, step.low, step.high)
