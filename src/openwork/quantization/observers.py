"""Observers: what range a tensor has, learnt from a stream of arrays in memory that does not grow."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from openwork.errors import CalibrationError

Range = tuple[float, float]

# A power of two: halving and doubling stay exact. 128 KiB of counts a tensor.
_BINS_PER_SIDE = 8192


class Observer(Protocol):
    """Sees the arrays of one tensor, one after another; all values finite."""

    def update(self, array: NDArray[np.floating]) -> None:
        """Take one more array in, of any shape."""

    def range(self) -> Range:
        """The smallest and largest value to represent.

        Raises: CalibrationError: nothing was seen.
        """


class MinMax:
    """The smallest and largest value seen."""

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf

    def update(self, array: NDArray[np.floating]) -> None:
        if array.size:
            self._low = min(self._low, float(array.min()))
            self._high = max(self._high, float(array.max()))

    def range(self) -> Range:
        if self._low > self._high:
            raise CalibrationError("no value was observed; give calibration data")
        return self._low, self._high


class Percentile:
    """The range that holds a fraction of all values, cutting the same share off both ends.

    Values are counted in equal bins over [-limit, limit). When a value lies outside, limit doubles and
    neighbouring bins merge in pairs. All edges are powers of two times integers, so they nest, and the range
    depends neither on the order of the data nor on how it was cut into arrays. It is exact to one bin, which
    is at most 2^-12 of the largest magnitude, and never wider than what was seen.

    Args:
        fraction: of values kept, above 0 and at most 1.
    """

    def __init__(self, fraction: float = 0.9999) -> None:
        if not 0 < fraction <= 1:
            raise CalibrationError(f"percentile fraction {fraction}: not in (0, 1]; give one such as 0.9999")
        self._fraction = fraction
        self._counts = np.zeros(2 * _BINS_PER_SIDE, dtype=np.int64)
        self._limit = float(np.finfo(np.float32).tiny)
        self._extremes = MinMax()

    def update(self, array: NDArray[np.floating]) -> None:
        self._extremes.update(array)
        values = array.astype(np.float64).ravel()
        largest = np.abs(values).max(initial=0)
        while largest >= self._limit:
            self._double()
        bins = np.floor(values * (_BINS_PER_SIDE / self._limit)).astype(np.int64) + _BINS_PER_SIDE
        self._counts += np.bincount(bins, minlength=self._counts.size)

    def range(self) -> Range:
        smallest, largest = self._extremes.range()
        below = np.cumsum(self._counts)
        cut = (1 - self._fraction) / 2 * below[-1]
        first = int(np.searchsorted(below, cut, side="right"))
        last = int(np.searchsorted(below, below[-1] - cut, side="left"))
        return max(self._edge(first), smallest), min(self._edge(last + 1), largest)

    def _edge(self, index: int) -> float:
        return (index - _BINS_PER_SIDE) * (self._limit / _BINS_PER_SIDE)

    def _double(self) -> None:
        self._counts = np.pad(self._counts.reshape(-1, 2).sum(axis=1), _BINS_PER_SIDE // 2)
        self._limit *= 2
