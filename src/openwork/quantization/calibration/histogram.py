"""Counts of values in bins that nest: histograms of any data can be added up exactly."""

import base64
import zlib
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openwork.errors import CalibrationError
from openwork.quantization.calibration.observers import MinMax, Range, State, check_alike, whole

# Where float32 holds value * bins / limit exactly: neither overflow nor numbers below the normal ones.
_EXACT_IN_FLOAT32 = (2.0**-60, 2.0**10)

# Values a bin can have counted; their sums stay far below 2^63.
_MOST = 1 << 48


class Histogram:
    """Counts in equal bins over [-limit, limit), limit a power of two above every value seen.

    When a value lies outside, limit doubles and neighbouring bins merge in pairs, as often as needed. All edges are
    powers of two times integers, so they nest: the counts depend neither on the order of the data nor on how it was
    cut into arrays or shards. Memory is constant.

    Args:
        bins: on each side of zero, a power of two.

    counts: int64[2 * bins]; bin i holds the values in [edges[i], edges[i + 1]).
    zeros: how many of them are exactly zero.
    """

    def __init__(self, bins: int) -> None:
        if not 2 <= bins <= 1 << 20 or bins & (bins - 1):
            raise CalibrationError(f"{bins} bins: not a power of two from 2 to 2^20; give one such as 2048")
        self.bins = bins
        self.counts = np.zeros(2 * bins, dtype=np.int64)
        self.zeros = 0
        self._limit = float(np.finfo(np.float32).tiny)
        self._extremes = MinMax()

    @property
    def edges(self) -> NDArray[np.float64]:
        """float64[2 * bins + 1]"""
        edges: NDArray[np.float64] = np.arange(-self.bins, self.bins + 1) * np.float64(self._limit / self.bins)
        return edges

    @property
    def extremes(self) -> Range:
        """The smallest and largest value. Raises: CalibrationError: nothing was seen."""
        return self._extremes.range()

    def update(self, array: NDArray[np.floating]) -> None:
        """Count every value of an array of any shape; all finite."""
        if not array.size:
            return
        array = np.asarray(array).reshape(-1)
        self._extremes.update(array)
        low, high = array.min(), array.max()
        self._widen(max(self._limit, _limit_above(float(max(-low, high)))))
        exact = _EXACT_IN_FLOAT32[0] <= self._limit <= _EXACT_IN_FLOAT32[1] and self.bins >= _EXACT_IN_FLOAT32[1]
        values: NDArray[Any] = array.astype(np.float32 if exact else np.float64, copy=False)
        places = np.floor(values * values.dtype.type(self.bins / self._limit)).astype(np.intp)
        places += self.bins
        self.counts += np.bincount(places, minlength=self.counts.size)
        self.zeros += array.size - int(np.count_nonzero(array))

    def merge(self, other: Self) -> None:
        """Raises: CalibrationError: its bins differ."""
        check_alike(self.bins, other.bins, "bins")
        self._widen(max(self._limit, other._limit))
        self.counts = self.counts + _merged(other.counts, self._limit / other._limit)
        self.zeros += other.zeros
        self._extremes.merge(other._extremes)

    def magnitudes(self) -> NDArray[np.int64]:
        """int64[bins]: counts of |value|, without exact zeros; bin i holds [i, i + 1) * limit / bins.

        A negative value on an edge counts as just above it.
        """
        folded = self.counts[self.bins :] + self.counts[: self.bins][::-1]
        folded[0] -= self.zeros
        return folded

    def to_json(self) -> dict[str, Any]:
        """Counts are little-endian int64 behind zlib and base64."""
        packed = zlib.compress(self.counts.astype("<i8").tobytes())
        return {
            "bins": self.bins,
            "limit": self._limit,
            "zeros": self.zeros,
            **self._extremes.to_json(),
            "counts": base64.b64encode(packed).decode(),
        }

    @classmethod
    def from_json(cls, state: State) -> Self:
        """Raises: KeyError, TypeError, ValueError, CalibrationError: `state` is no histogram."""
        histogram = cls(whole(state["bins"]))
        size = histogram.counts.nbytes
        unpacked = zlib.decompressobj()
        try:
            data = unpacked.decompress(base64.b64decode(state["counts"], validate=True), size + 1)
        except zlib.error as error:
            raise ValueError(f"counts ({error})") from error
        if len(data) != size:
            raise ValueError(f"counts of {len(data)} bytes where there should be {size}")
        histogram.counts = np.frombuffer(data, "<i8").astype(np.int64)
        histogram.zeros = whole(state["zeros"])
        histogram._limit = float(state["limit"])
        histogram._extremes = MinMax.from_json(state)
        if not 0 < histogram._limit < np.inf or np.frexp(histogram._limit)[0] != 0.5:
            raise ValueError(f"limit {histogram._limit}, which is no power of two")
        if (
            histogram.counts.min() < 0
            or histogram.counts.max() > _MOST
            or histogram.zeros > histogram.counts[histogram.bins]
        ):
            raise ValueError("impossible counts")
        return histogram

    def _widen(self, limit: float) -> None:
        """Let bins merge until they reach `limit`, a power of two."""
        self.counts, self._limit = _merged(self.counts, limit / self._limit), limit


def _merged(counts: NDArray[np.int64], factor: float) -> NDArray[np.int64]:
    """The same counts in bins wider by a power of two, as many as before: those on one side at most become one."""
    width = int(min(factor, counts.size // 2))
    if width == 1:
        return counts
    sums = counts.reshape(-1, width).sum(axis=1)
    return np.pad(sums, (counts.size - sums.size) // 2)


def _limit_above(largest: float) -> float:
    """The smallest power of two that is larger, and no less than the smallest normal float32."""
    tiny = np.finfo(np.float32).tiny
    return float(max(np.ldexp(1.0, np.frexp(max(largest, float(tiny) / 2))[1]), tiny))
