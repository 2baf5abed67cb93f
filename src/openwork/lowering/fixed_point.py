"""Fixed-point arithmetic on NumPy integers, as microcontrollers and accelerators do it in 32 bits."""

from dataclasses import dataclass
from math import floor, frexp

import numpy as np

from openwork.lowering.arithmetic import Array

Whole = Array | int

_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class Multiplier:
    """A real number that is not negative, as TFLite has it: mantissa * 2^(shift - 31).

    mantissa: from 2^30 up to, but not, 2^31; 0 for what is too small. Shorter where a division was folded in.
    shift: from -31.
    """

    mantissa: int
    shift: int


def multiplier_of(real: float) -> Multiplier:
    """The nearest multiplier to a positive real number; half away from zero.

    Source: TensorFlow Lite, QuantizeMultiplier.
    """
    fraction, shift = frexp(real)
    mantissa = floor(fraction * 2**31 + 0.5)
    if mantissa == 2**31:
        mantissa, shift = 2**30, shift + 1
    return Multiplier(0, 0) if shift < -31 else Multiplier(mantissa, shift)


def divided_by(multiplier: Multiplier, count: int) -> Multiplier:
    """A multiplier / count, for means of sums; the mantissa is cut, not rounded, and need not be full any more.

    Source: TensorFlow Lite, QuantizedMeanOrSum.
    """
    shift = min(count.bit_length() - 1, 32, 31 + multiplier.shift)
    return Multiplier((multiplier.mantissa << shift) // count, multiplier.shift - shift)


def multiplied(x: Array, mantissa: Whole, shift: Whole) -> Array:
    """int64: x * mantissa * 2^(shift - 31), for x of 32 bits, rounded twice as TFLite does it.

    A left shift comes first and saturates at 32 bits. Then the upper half of the doubled product is taken, half
    up; then a right shift, half away from zero.

    Source: gemmlowp, SaturatingRoundingDoublingHighMul and RoundingDivideByPOT; TensorFlow Lite,
        MultiplyByQuantizedMultiplier.
    Differs: a left shift that overflows is undefined there; here it saturates, see `shifted_left`.
    """
    mantissa, shift = np.asarray(mantissa, np.int64), np.asarray(shift, np.int64)
    high = (shifted_left(x, np.maximum(shift, 0)) * mantissa + (1 << 30)) >> 31
    return half_away(high, np.maximum(-shift, 0))


def multiplied_wide(x: Array, mantissa: Whole, shift: Whole) -> Array:
    """int64: x * mantissa * 2^(shift - 31), for x below 2^47, rounded once, half up; of the mantissa 15 bits count.

    Source: TensorFlow Lite, MultiplyByQuantizedMultiplier for 64-bit accumulators.
    """
    mantissa, shift = np.asarray(mantissa, np.int64), np.asarray(shift, np.int64)
    short = np.where(mantissa < 0x7FFF0000, (mantissa + (1 << 15)) >> 16, 0x7FFF)
    return half_up(x.astype(np.int64) * short, 15 - shift)


def shifted_left(x: Array, count: Whole) -> Array:
    """int64: x * 2^count, where x is first limited to what then fits 32 bits. count: from 0; 30 is as good as more.

    What is limited becomes 2^30 or more in magnitude, which lies beyond every output.
    """
    count = np.minimum(np.asarray(count, np.int64), 30)
    return np.clip(x.astype(np.int64), _INT32.min >> count, _INT32.max >> count) << count


def half_away(x: Array, count: Whole) -> Array:
    """x / 2^count, rounded to nearest, half away from zero."""
    count = np.asarray(count, np.int64)
    half = (np.int64(1) << count) >> 1
    return (x + half - ((x < 0) & (count > 0))) >> count


def half_up(x: Array, count: Whole) -> Array:
    """x / 2^count, rounded to nearest, half towards infinity: (x + 2^(count - 1)) >> count. count: from 0 to 63."""
    count = np.asarray(count, np.int64)
    carry = np.where(count > 0, (x >> np.maximum(count - 1, 0)) & 1, 0)
    return (x >> count) + carry


def divided(x: Array, count: Whole) -> Array:
    """int64: x / count, rounded to nearest, half away from zero, for a positive whole count.

    Source: TensorFlow Lite, AVERAGE_POOL_2D.
    """
    x, count = x.astype(np.int64), np.asarray(count, np.int64)
    return np.sign(x) * ((np.abs(x) + count // 2) // count)
