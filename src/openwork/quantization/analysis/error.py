"""How far a tensor lies from its reference, summed up over any number of arrays."""

from dataclasses import dataclass
from math import inf, isfinite, log10, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openwork.errors import ModelError

# Squares of larger numbers, such as masks of -3.4e38, are summed in float64.
_LARGE = 1e12


@dataclass(frozen=True)
class Error:
    """How far a tensor lies from its float reference, over all samples.

    distance: cosine distance, 0 to 2. sqnr: signal to quantization noise ratio, 10 log10(signal / noise), dB.
    psnr: 10 log10(range^2 / mean squared error), dB, the range being the reference's. max_error: in its own unit.
    """

    distance: float
    sqnr: float
    psnr: float
    max_error: float

    @property
    def grade(self) -> str:
        """Of the PSNR, as MERA grades it: below 20 dB poor, 25 acceptable, 30 good, above very good."""
        limits = ((20, "poor"), (25, "acceptable"), (30, "good"))
        return next((name for limit, name in limits if self.psnr < limit), "very good")


@dataclass
class ErrorSums:
    """Sums over all elements of a reference r and of d, the value's difference from it."""

    tensor: str
    signal: float = 0
    noise: float = 0
    product: float = 0
    largest: float = 0
    low: float = inf
    high: float = -inf
    count: int = 0

    def update(self, reference: NDArray[Any], value: NDArray[Any]) -> None:
        r, v = (array.astype(np.float32, copy=False).ravel() for array in (reference, value))
        if not np.isfinite([r.min(), r.max()]).all():  # -inf hides elements from a Softmax
            both = np.isfinite(r) | (r != v)
            r, v = r[both], v[both]
        if max(r.max(initial=0), -r.min(initial=0)) > _LARGE:
            r, v = r.astype(np.float64), v.astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            d = v - r
            noise = float(d @ d)
        if not isfinite(noise):
            raise ModelError(f"tensor {self.tensor!r}: one model gives NaN or infinity, the other does not")
        self.signal += float(r @ r)
        self.noise += noise
        self.product += float(r @ d)
        self.largest = max(self.largest, float(d.max(initial=0)), -float(d.min(initial=0)))
        self.low, self.high = min(self.low, float(r.min(initial=inf))), max(self.high, float(r.max(initial=-inf)))
        self.count += r.size

    def error(self) -> Error:
        ratio = inf if self.noise == 0 else self.signal / self.noise
        mean_square = self.noise / max(self.count, 1)
        psnr = inf if mean_square == 0 else _decibel((self.high - self.low) ** 2 / mean_square)
        return Error(self._distance(), _decibel(ratio), psnr, self.largest)

    def _distance(self) -> float:
        """1 - cos(r, v), v = r + d, from |r|^2 |v|^2 - (r.v)^2 = |r|^2 |d|^2 - (r.d)^2, exact also when d is small."""
        energy = self.signal + 2 * self.product + self.noise
        if self.noise == 0:
            return 0.0
        if self.signal <= 0 or energy <= 0:
            return 1.0
        cosine = (self.signal + self.product) / sqrt(self.signal * energy)
        if cosine <= 0:
            return 1 - cosine
        sine_squared = (self.signal * self.noise - self.product**2) / (self.signal * energy)
        return max(0.0, sine_squared) / (1 + cosine)


def _decibel(ratio: float) -> float:
    return ratio if ratio == inf else -inf if ratio <= 0 else 10 * log10(ratio)
