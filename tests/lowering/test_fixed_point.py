"""Fixed-point arithmetic, against exact fractions and against TFLite's formulas on Python's integers."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openwork.lowering.fixed_point import (
    Multiplier,
    divided,
    divided_by,
    half_away,
    half_up,
    multiplied,
    multiplied_wide,
    multiplier_of,
    shifted_left,
)

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
int32s = st.integers(INT32_MIN, INT32_MAX) | st.sampled_from([INT32_MIN, INT32_MAX, -1, 0, 1, 2**30, -(2**30)])
mantissas = st.integers(2**30, INT32_MAX) | st.sampled_from([0, 2**30, INT32_MAX])
shifts = st.integers(-31, 30)


def nearest(value: Fraction) -> int:
    """Half away from zero."""
    return floor(value + Fraction(1, 2)) if value >= 0 else ceil(value - Fraction(1, 2))


def truncated(numerator: int, denominator: int) -> int:
    """C's division."""
    return abs(numerator) // denominator * (1 if numerator >= 0 else -1)


def limited(x: int, count: int) -> int:
    """To what fits 32 bits after a shift to the left."""
    return max(INT32_MIN >> count, min(INT32_MAX >> count, x))


def tflite_multiplied(x: int, mantissa: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier as TensorFlow Lite's documentation has it, word by word."""
    raised = limited(x, max(shift, 0)) << max(shift, 0)
    product = raised * mantissa
    high = truncated(product + (2**30 if product >= 0 else 1 - 2**30), 2**31)
    exponent = max(-shift, 0)
    mask = (1 << exponent) - 1
    threshold = (mask >> 1) + (1 if high < 0 else 0)
    return (high >> exponent) + (1 if high & mask > threshold else 0)


def array(x: int) -> np.ndarray:
    return np.array([x], np.int64)


@given(int32s, mantissas, shifts)
def test_products_are_tflites(x: int, mantissa: int, shift: int) -> None:
    assert multiplied(array(x), mantissa, shift).item() == tflite_multiplied(x, mantissa, shift)


@given(int32s, mantissas, shifts)
def test_products_are_near_the_exact_ones(x: int, mantissa: int, shift: int) -> None:
    exact = Fraction(limited(x, max(shift, 0))) * mantissa * Fraction(2) ** (shift - 31)
    assert abs(multiplied(array(x), mantissa, shift).item() - exact) <= 1


@given(st.integers(-(2**46), 2**46), mantissas, st.integers(-31, 7))
def test_wide_products_are_tflites(x: int, mantissa: int, shift: int) -> None:
    short = (mantissa + (1 << 15)) >> 16 if mantissa < 0x7FFF0000 else 0x7FFF
    total = 15 - shift
    assert multiplied_wide(array(x), mantissa, shift).item() == (x * short + (1 << (total - 1))) >> total


@given(st.integers(-(2**40), 2**40), st.integers(0, 40))
def test_shifts_round_to_nearest(x: int, count: int) -> None:
    exact = Fraction(x, 2**count)
    assert half_away(array(x), np.int64(count)).item() == nearest(exact)
    assert half_up(array(x), np.int64(count)).item() == floor(exact + Fraction(1, 2))


@given(int32s, st.integers(0, 63))
def test_a_left_shift_saturates(x: int, count: int) -> None:
    result = shifted_left(array(x), np.int64(count)).item()
    assert INT32_MIN <= result <= INT32_MAX
    if INT32_MIN <= x << count <= INT32_MAX:
        assert result == x << count or count > 30
    else:
        assert abs(result) >= 2**30 and (result > 0) == (x > 0)


@given(st.integers(-(2**40), 2**40), st.integers(1, 10**6))
def test_means_round_half_away_from_zero(x: int, count: int) -> None:
    rounded = truncated(x + count // 2, count) if x > 0 else truncated(x - count // 2, count)
    assert divided(array(x), count).item() == rounded


@given(st.floats(2.0**-30, 2.0**30))
def test_multipliers_are_the_nearest(real: float) -> None:
    found = multiplier_of(real)
    assert 2**30 <= found.mantissa < 2**31
    error = abs(Fraction(found.mantissa) * Fraction(2) ** (found.shift - 31) - Fraction(real))
    assert error <= Fraction(2) ** (found.shift - 32)


def test_multipliers_at_the_edges() -> None:
    assert multiplier_of(1.0) == Multiplier(2**30, 1)
    assert multiplier_of(0.5) == Multiplier(2**30, 0)
    assert multiplier_of(1 - 2.0**-40) == Multiplier(2**30, 1), "a mantissa that rounds up to 2^31 is halved"
    assert multiplier_of(2.0**-33) == Multiplier(0, 0)
    assert multiplier_of(2.0**-32) == Multiplier(2**30, -31)


@given(st.floats(2.0**-8, 2.0**8), st.integers(1, 10**6))
def test_a_count_is_folded_into_a_multiplier(real: float, count: int) -> None:
    found = divided_by(multiplier_of(real), count)
    assert found.shift >= -31 and 2**29 <= found.mantissa < 2**31
    assert abs(found.mantissa * 2.0 ** (found.shift - 31) - real / count) <= real / count * 2**-28
