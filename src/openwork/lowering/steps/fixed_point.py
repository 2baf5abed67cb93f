"""Steps that compute in fixed point throughout, as TensorFlow Lite's kernels for 8-bit integers do.

Numbers are int64 here and fit 32 bits; `fraction` bits of them stand behind the binary point.
"""

from dataclasses import dataclass
from math import exp, floor

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.arithmetic import Array, Buffer, Values
from openwork.lowering.fixed_point import Whole, half_away, multiplied, multiplier_of, shifted_left
from openwork.lowering.steps.reads import ReadsInput

# Bits before the binary point: of the scaled difference to the largest input, and of the sum of exponentials.
_DIFFERENCE_BITS, _SUM_BITS = 5, 12


@dataclass(frozen=True, eq=False)
class FixedSoftmax(ReadsInput):
    """Softmax of bytes to bytes of scale 1/256, the smallest integer standing for 0, along one non-negative axis.

    exponentials: int32[256]; entry i is exp(-i * input scale) with 31 fractional bits.

    Two passes: the sum of exp(x - max(x)), then each exponential times the reciprocal of the sum, by Newton's method.

    Source: TensorFlow Lite, reference_ops::Softmax; its exponential needs a table here, as inputs are bytes.
    """

    name: str
    input: str
    output: str
    axis: int
    exponentials: NDArray[np.int32]

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input].astype(np.int64)
        powers = self.exponentials[x.max(self.axis, keepdims=True) - x].astype(np.int64)
        sums = half_away(powers, _SUM_BITS).sum(self.axis, keepdims=True)
        headroom = 32 - np.frexp(sums.astype(np.float64))[1].astype(np.int64)  # leading zeros of a uint32
        scale = reciprocal((sums << headroom) - (1 << 31))
        y = half_away(doubled_product(scale, powers), _SUM_BITS - headroom + 31 - 8)
        limits = np.iinfo(output.dtype)
        return np.clip(y + limits.min, limits.min, limits.max)


def exponentials(input_scale: float) -> NDArray[np.int32]:
    """int32[256]: exp(-i * input_scale) with 31 fractional bits, 0 where it does not count any more."""
    by = multiplier_of(min(input_scale * 2.0 ** (31 - _DIFFERENCE_BITS), 2.0**31 - 1))
    farthest = floor((2**_DIFFERENCE_BITS - 1) * 2.0 ** (31 - _DIFFERENCE_BITS - by.shift))
    difference = np.arange(256)
    scaled = multiplied(-np.minimum(difference, farthest), by.mantissa, by.shift)
    return np.where(difference <= farthest, _exponential(scaled), 0).astype(np.int32)


def doubled_product(a: Whole, b: Array) -> Array:
    """a * b / 2^31, half up, saturated at 32 bits."""
    return np.minimum((a * b + (1 << 30)) >> 31, 2**31 - 1)


def _fraction(real: float) -> int:
    """A real number below 1 with 31 fractional bits."""
    return floor(real * 2**31 + 0.5)


def _exponential(x: Array) -> Array:
    """exp(x) with 31 fractional bits, for x <= 0 with 26: exp of x modulo 1/4, times exp(-2^k) for each further bit.

    Source: gemmlowp, exp_on_negative_values.
    """
    quarter = 1 << 24
    remainder = (x & (quarter - 1)) - quarter
    result = _small_exponential(remainder << _DIFFERENCE_BITS)
    for power in range(-2, _DIFFERENCE_BITS):
        bit = ((remainder - x) >> (26 + power)) & 1
        result = np.where(bit == 1, doubled_product(_fraction(exp(-(2.0**power))), result), result)
    return np.where(x == 0, 2**31 - 1, result)


def _small_exponential(x: Array) -> Array:
    """exp(x), for -1/4 <= x < 0, both with 31 fractional bits: its Taylor series around -1/8, to the fourth power."""
    x = x + (1 << 28)
    square = doubled_product(x, x)
    cube, fourth = doubled_product(square, x), doubled_product(square, square)
    third = doubled_product(_fraction(1 / 3), half_away(fourth, 2) + cube)
    rest = half_away(third + square, 1)
    constant = _fraction(exp(-1 / 8))
    return constant + doubled_product(constant, x + rest)


def reciprocal(x: Array) -> Array:
    """1 / (1 + x) for 0 <= x < 1, both with 31 fractional bits: three steps of Newton's method.

    Source: gemmlowp, one_over_one_plus_x_for_x_in_0_1.
    """
    half = (x + (1 << 31)) >> 1  # (1 + x) / 2; numbers from here on have 29 fractional bits
    y = _fraction(48 / 17 / 4) + doubled_product(_fraction(-32 / 17 / 4), half)
    for _ in range(3):
        rest = (1 << 29) - doubled_product(half, y)
        y = y + shifted_left(doubled_product(y, rest), 2)
    return shifted_left(y, 1)
