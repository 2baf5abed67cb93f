"""Symmetric scales: from the largest magnitude to represent to the step between two integers."""

import numpy as np
from numpy.typing import NDArray

from openwork.quantization.strategies import ScaleRule


def symmetric_scale(largest: NDArray[np.float64], highest: int, rule: ScaleRule) -> NDArray[np.float64]:
    """The scale of each largest magnitude, see `ScaleRule`; 0 of 0.

    Args:
        highest: the largest integer, 127 for 8 bits.
        rule: any but affine.
    """
    if rule == "power_of_two":
        return power_of_two_above(largest / highest)
    return 2 * largest / (2 * highest + 1) if rule == "span" else largest / highest


def power_of_two_above(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """The smallest power of two that is not less; 0 stays 0."""
    mantissa, exponent = np.frexp(x)
    return np.where(x == 0, 0.0, np.ldexp(1.0, exponent - (mantissa == 0.5)))
