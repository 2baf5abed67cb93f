"""Each requantization against the same formula on Python's integers."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openwork.lowering.fixed_point import divided_by, multiplier_of
from openwork.lowering.requantize import Q31, AddQ31, AddScales, AddShift, Float32Scale, Shift, WholeMean
from tests.lowering.test_fixed_point import tflite_multiplied

int32s = st.integers(-(2**31), 2**31 - 1)
bytes_ = st.integers(-128, 127)


def clip(y: int) -> int:
    return max(-128, min(127, y))


@given(st.lists(int32s, min_size=3, max_size=3), st.lists(st.floats(1e-6, 4), min_size=3, max_size=3), bytes_)
def test_q31_has_a_multiplier_for_each_channel(sums: list[int], scales: list[float], zero: int) -> None:
    multipliers = [multiplier_of(scale) for scale in scales]
    to = Q31(
        np.array([by.mantissa for by in multipliers], np.int32),
        np.array([by.shift for by in multipliers], np.int32),
        zero, -128, 127,
    )  # fmt: skip
    expected = [
        clip(tflite_multiplied(x, by.mantissa, by.shift) + zero) for x, by in zip(sums, multipliers, strict=True)
    ]
    assert to.apply(np.array([sums], np.int32)).tolist() == [expected]
    image = np.array(sums, np.int32).reshape(1, 3, 1, 1)
    assert to.apply(image, trailing=2).ravel().tolist() == expected


@given(st.lists(int32s, min_size=3, max_size=3), st.lists(st.integers(-40, 60), min_size=3, max_size=3), bytes_)
def test_shift_rounds_half_up(sums: list[int], shifts: list[int], zero: int) -> None:
    to = Shift(np.array(shifts, np.int32), zero, -128, 127)
    exact = [Fraction(x) * Fraction(2) ** -n for x, n in zip(sums, shifts, strict=True)]
    expected = [clip(floor(y + Fraction(1, 2)) + zero) for y in exact]
    assert to.apply(np.array([sums], np.int32)).tolist() == [expected]
    assert to.apply(np.array([sums], np.int64)).tolist() == [expected]


def test_ties_tell_the_roundings_apart() -> None:
    """1/2, 3/2, 5/2 and their negatives."""
    sums = np.array([[1, 3, 5, -1, -3, -5]], np.int32)
    half = multiplier_of(0.25)
    assert Float32Scale(np.array([0.5], np.float32), 0, -128, 127).apply(sums).tolist() == [[0, 2, 2, 0, -2, -2]]
    assert Shift(np.array([1]), 0, -128, 127).apply(sums).tolist() == [[1, 2, 3, 0, -1, -2]]
    q31 = Q31(np.array([half.mantissa], np.int32), np.array([half.shift], np.int32), 0, -128, 127)
    assert q31.apply(2 * sums).tolist() == [[1, 2, 3, -1, -2, -3]]


@given(st.integers(-(2**46), 2**46))
def test_a_wide_sum_is_rounded_to_float32_first(x: int) -> None:
    to = Float32Scale(np.array([2.0**-40], np.float32), 0, -32768, 32767)
    assert to.apply(np.array([[x]], np.int64)).item() == np.rint(np.float32(x) * np.float32(2.0**-40))


@given(bytes_, bytes_, bytes_, bytes_, bytes_, st.floats(0.001, 1), st.floats(0.001, 1), st.floats(0.01, 1),
       st.sampled_from([1, -1]))  # fmt: skip
def test_q31_adds_as_tflite(
    a: int, b: int, zero_a: int, zero_b: int, zero: int, scale_a: float, scale_b: float, scale: float, sign: int
) -> None:
    twice = 2 * max(scale_a, scale_b)
    by_a, by_b, by = (
        multiplier_of(scale_a / twice),
        multiplier_of(scale_b / twice),
        multiplier_of(twice / (2**20 * scale)),
    )
    to = AddQ31((by_a, by_b), by, 20, (1, sign), (zero_a, zero_b), zero, -128, 127)
    first = tflite_multiplied((a - zero_a) << 20, by_a.mantissa, by_a.shift)
    second = tflite_multiplied((b - zero_b) << 20, by_b.mantissa, by_b.shift)
    expected = clip(tflite_multiplied(first + sign * second, by.mantissa, by.shift) + zero)
    arrays = np.array([a], np.int8), np.array([b], np.int8)
    assert to.apply(*arrays).item() == expected
    assert to.swapped().apply(*arrays[::-1]).item() == expected
    exact = ((a - zero_a) * scale_a + sign * (b - zero_b) * scale_b) / scale + zero
    assert abs(expected - max(-128, min(127, exact))) <= 0.501


@given(bytes_, bytes_, bytes_, bytes_, bytes_, st.integers(0, 8), st.integers(0, 8), st.integers(-3, 12),
       st.sampled_from([1, -1]))  # fmt: skip
def test_shift_adds_exactly_and_rounds_once(
    a: int, b: int, zero_a: int, zero_b: int, zero: int, left_a: int, left_b: int, shift: int, sign: int
) -> None:
    to = AddShift((left_a, left_b), shift, (1, sign), (zero_a, zero_b), zero, -128, 127)
    exact = Fraction((a - zero_a) * 2**left_a + sign * (b - zero_b) * 2**left_b) * Fraction(2) ** -shift
    arrays = np.array([a], np.int8), np.array([b], np.int8)
    assert to.apply(*arrays).item() == clip(floor(exact + Fraction(1, 2)) + zero)
    assert to.swapped().apply(*arrays[::-1]).item() == to.apply(*arrays).item()


def test_float32_scales_of_an_addition_are_swapped() -> None:
    to = AddScales((0.5, -1.25), (3, 4), 5, -128, 127)
    a, b = np.arange(-128, 128).astype(np.int8), np.arange(-128, 128).astype(np.int8)[::-1]
    np.testing.assert_array_equal(to.swapped().apply(b, a), to.apply(a, b))


@given(st.lists(bytes_, min_size=1, max_size=9), bytes_)
def test_a_whole_mean_is_of_the_integers_as_they_are(values: list[int], zero: int) -> None:
    total, count = sum(values), len(values)
    expected = (abs(total) + count // 2) // count * (1 if total >= 0 else -1)
    sums = np.array([sum(value - zero for value in values)], np.int32)
    assert WholeMean(zero, -128, 127).mean(sums, count).item() == expected


@pytest.mark.parametrize("count", [1, 3, 49])
def test_means_of_each_rounding_are_near(count: int) -> None:
    sums = np.arange(-100 * count, 100 * count).astype(np.int32)
    exact = sums / count
    floats = Float32Scale(np.ones(1, np.float32), 0, -128, 127)
    by = divided_by(multiplier_of(1.0), count)
    q31 = Q31(np.array([by.mantissa], np.int32), np.array([by.shift], np.int32), 0, -128, 127)
    for to in (floats, q31, WholeMean(0, -128, 127)):
        assert np.abs(to.mean(sums, count) - exact).max() <= 0.501 + 0.5 * (to is q31)
