"""Observers that keep a histogram and choose from it: percentile, KL divergence, mean squared error."""

from typing import Any, ClassVar, Self, get_args

import numpy as np
from numpy.typing import NDArray

from openwork.errors import CalibrationError
from openwork.quantization.calibration.histogram import Histogram
from openwork.quantization.calibration.observers import Range, State, check_alike, whole
from openwork.quantization.scales import symmetric_scale
from openwork.quantization.strategies import ScaleRule

_PERCENTILE_BINS = 8192
_MSE_BINS = 2048
_RULES = ", ".join(get_args(ScaleRule))
# Divergences that differ by less are equal.
_ROUNDING = 1e-12


class Percentile:
    """The range that holds a fraction of all values, cutting the same share off both ends.

    Exact to one bin, which is at most 2^-12 of the largest magnitude, and never wider than what was seen.

    Args:
        fraction: of values kept, above 0 and at most 1.
    """

    method: ClassVar[str] = "percentile"

    def __init__(self, fraction: float = 0.9999) -> None:
        if not 0 < fraction <= 1:
            raise CalibrationError(f"percentile fraction {fraction}: not in (0, 1]; give one such as 0.9999")
        self._fraction = fraction
        self._histogram = Histogram(_PERCENTILE_BINS)

    def update(self, array: NDArray[np.floating]) -> None:
        self._histogram.update(array)

    def range(self) -> Range:
        smallest, largest = self._histogram.extremes
        below, edges = np.cumsum(self._histogram.counts), self._histogram.edges
        cut = (1 - self._fraction) / 2 * below[-1]
        first = int(np.searchsorted(below, cut, side="right"))
        last = int(np.searchsorted(below, below[-1] - cut, side="left"))
        return max(float(edges[first]), smallest), min(float(edges[last + 1]), largest)

    def merge(self, other: Self) -> None:
        check_alike(self._fraction, other._fraction, "fraction")
        self._histogram.merge(other._histogram)

    def to_json(self) -> dict[str, Any]:
        return {"fraction": self._fraction, "histogram": self._histogram.to_json()}

    @classmethod
    def from_json(cls, state: State) -> Self:
        observer = cls(state["fraction"])
        observer._histogram = _histogram(state, _PERCENTILE_BINS)
        return observer


class KL:
    """The threshold on |x| beyond which clipping loses least information, in the sense of Kullback and Leibler.

    For every threshold of at least `targets` bins, P is the histogram of |x| with all that lies outside put into its
    last bin, and Q the histogram inside, first summed into `targets` levels, then spread evenly over those bins of
    each level that P does not leave empty. The threshold with the smallest sum of P log(P / Q) is taken; of equal
    ones the widest. Where the last level holds nothing but what lies outside, Q counts one there: clipping a few
    outliers that are far away costs little, not infinitely much.

    Exact zeros are left out, for zero is an integer whatever the threshold: in networks with ReLUs they would drown
    all else. The range is [-threshold, threshold], cut to what was seen: one-sided tensors stay one-sided.

    Args:
        bins: of |x| up to a power of two that is at most twice the largest |x|; a power of two.
        targets: levels of |x|: 128 for 8 bits.
    Source: Migacz 2017, 8-bit Inference with TensorRT, GTC S7310.
    Differs: level of a bin is floor(bin * targets / bins inside), so that none takes all of the remainder; zeros;
        empty last levels, which the source does not speak of.
    """

    method: ClassVar[str] = "kl"

    def __init__(self, bins: int = 2048, targets: int = 128) -> None:
        self._histogram = Histogram(bins)
        if not 2 <= targets <= bins // 2:
            raise CalibrationError(f"{targets} KL targets: not from 2 to half of {bins} bins; give one such as 128")
        self._targets = targets

    def update(self, array: NDArray[np.floating]) -> None:
        self._histogram.update(array)

    def range(self) -> Range:
        magnitudes = np.trim_zeros(self._histogram.magnitudes(), "b")
        if len(magnitudes) <= self._targets:
            return self._histogram.extremes
        sizes = np.arange(self._targets, len(magnitudes) + 1)
        divergences = kl_divergences(magnitudes, sizes, self._targets)
        threshold = sizes[divergences <= divergences.min() + _ROUNDING][-1]  # of equals the widest clips least
        return _within(self._histogram, float(self._histogram.edges[self._histogram.bins + threshold]))

    def merge(self, other: Self) -> None:
        check_alike(self._targets, other._targets, "targets")
        self._histogram.merge(other._histogram)

    def to_json(self) -> dict[str, Any]:
        return {"targets": self._targets, "histogram": self._histogram.to_json()}

    @classmethod
    def from_json(cls, state: State) -> Self:
        histogram = Histogram.from_json(state["histogram"])
        observer = cls(histogram.bins, whole(state["targets"]))
        observer._histogram = histogram
        return observer


class MSE:
    """The threshold on |x| with the smallest sum of squared errors of quantization, rounding and clipping together.

    Every edge of the histogram is tried as threshold; each range is cut to what was seen and widened to zero. Of
    equal ones the widest is taken. Exact zeros have no error.

    Args:
        levels: integers there are: 256 for 8 bits.
        scale: how a strategy makes a scale of a range, see `ScaleRule`: symmetric scales leave half of the integers
            to the other sign even where the data has one, and powers of two reach farther than asked.
    """

    method: ClassVar[str] = "mse"

    def __init__(self, levels: int = 256, scale: ScaleRule = "affine") -> None:
        if not 2 <= levels <= 1 << 16:
            raise CalibrationError(f"{levels} levels: not from 2 to 65536; give 256 for 8 bits")
        if scale not in get_args(ScaleRule) or (scale != "affine" and levels < 4):
            raise CalibrationError(f"scale {scale!r} of {levels} levels: does not exist; choose from {_RULES}")
        self._levels = levels
        self._scale = scale
        self._histogram = Histogram(_MSE_BINS)

    def update(self, array: NDArray[np.floating]) -> None:
        self._histogram.update(array)

    def range(self) -> Range:
        thresholds = self._histogram.edges[_MSE_BINS + 1 :]
        counts = self._histogram.counts.copy()
        counts[_MSE_BINS] -= self._histogram.zeros
        clipping = clipping_errors(counts[_MSE_BINS:], thresholds) + clipping_errors(
            counts[:_MSE_BINS][::-1], thresholds
        )
        steps, reached = self._steps(thresholds)
        inside = np.cumsum(self._histogram.magnitudes())
        errors = clipping[reached] + rounding_errors(inside[reached], steps)
        return _within(self._histogram, float(thresholds[np.flatnonzero(errors == errors.min())[-1]]))

    def _steps(self, thresholds: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        """Of each threshold: the scale, and the last bin that its integers reach."""
        smallest, largest = self._histogram.extremes
        low, high = np.clip(smallest, -thresholds, 0), np.clip(largest, 0, thresholds)
        own = np.arange(_MSE_BINS)
        if self._scale == "affine":
            return (high - low) / (self._levels - 1), own
        highest = self._levels // 2 - 1
        steps = symmetric_scale(np.maximum(-low, high), highest, self._scale)
        farthest = np.searchsorted(thresholds, steps * highest, side="right") - 1
        return steps, np.maximum(farthest.clip(max=_MSE_BINS - 1), own)

    def merge(self, other: Self) -> None:
        check_alike((self._levels, self._scale), (other._levels, other._scale), "levels and scale")
        self._histogram.merge(other._histogram)

    def to_json(self) -> dict[str, Any]:
        return {"levels": self._levels, "scale": self._scale, "histogram": self._histogram.to_json()}

    @classmethod
    def from_json(cls, state: State) -> Self:
        observer = cls(whole(state["levels"]), state["scale"])
        observer._histogram = _histogram(state, _MSE_BINS)
        return observer


def kl_divergences(counts: NDArray[np.int64], sizes: NDArray[np.integer], targets: int) -> NDArray[np.float64]:
    """Divergence of the quantized histogram from the clipped one, see `KL`.

    Within a level Q is the same for every bin in use, so that sums over levels do: all are differences of
    cumulative sums.

    Args:
        counts: int64[bins]; sizes: how many bins lie inside, each at least `targets`.
    Returns: float64[sizes].
    """
    total = counts.sum()
    cumulative, used = (np.concatenate([[0], np.cumsum(x)]) for x in (counts, counts > 0))
    entropy = np.concatenate([[0.0], np.cumsum(_x_log_x(counts.astype(np.float64)))])
    # Level t begins at the first bin whose floor(bin * targets / size) is t.
    begins = -(-np.arange(targets + 1) * sizes[:, None] // targets)
    outside = total - cumulative[sizes]
    q_sums = np.diff(cumulative[begins], axis=1)
    p_sums, in_use = q_sums.copy(), np.diff(used[begins], axis=1)
    p_sums[:, -1] += outside
    in_use[:, -1] += (outside > 0) & (counts[sizes - 1] == 0)
    q_sums[:, -1] += (outside > 0) & (q_sums[:, -1] == 0)
    last = counts[sizes - 1].astype(np.float64)
    p_log_p = entropy[sizes] - _x_log_x(last) + _x_log_x(last + outside)
    p_log_q = np.where(p_sums > 0, p_sums * np.log(np.maximum(q_sums, 1) / np.maximum(in_use, 1)), 0.0).sum(axis=1)
    # Both are counts so far: P's are `total`.
    divergences: NDArray[np.float64] = (p_log_p - p_log_q) / total - np.log(total) + np.log(q_sums.sum(axis=1))
    return divergences


def clipping_errors(counts: NDArray[np.int64], thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of squared errors of the values on one side of zero that lie beyond each threshold and become it.

    Args:
        counts: int64[bins], from zero outwards. thresholds: float64[bins], the outer edge of each bin.
    """
    centres = thresholds - thresholds[0] / 2
    # Sums of (centre - threshold)^2 over the bins outside, from sums of 1, centre and centre^2.
    zeroth, first, second = (_sums_behind(counts * centres**power) for power in range(3))
    return second - 2 * thresholds * first + thresholds**2 * zeroth


def rounding_errors(counts: NDArray[np.int64], steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of squared errors of so many values rounded to multiples of a step: step^2 / 12 each.

    Source: Bennett 1948, Spectra of Quantized Signals.
    """
    return counts * steps**2 / 12


def _sums_behind(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of all elements behind each."""
    return np.append(np.cumsum(x[:0:-1])[::-1], 0.0)


def _within(histogram: Histogram, threshold: float) -> Range:
    """[-threshold, threshold], cut to what was seen; one-sided data that lies beyond it keeps its sign."""
    smallest, largest = histogram.extremes
    return min(max(smallest, -threshold), threshold), max(min(largest, threshold), -threshold)


def _x_log_x(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x * np.log(np.where(x > 0, x, 1.0))


def _histogram(state: State, bins: int) -> Histogram:
    histogram = Histogram.from_json(state["histogram"])
    if histogram.bins != bins:
        raise ValueError(f"{histogram.bins} bins where there should be {bins}")
    return histogram
