"""Observers against numpy on the whole data at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from openwork.errors import CalibrationError
from openwork.quantization import MinMax, Percentile

FLOATS = hnp.arrays(
    np.float32, st.integers(1, 50), elements=st.floats(-(2.0**100), 2.0**100, width=32, allow_nan=False)
)


def observe(observer, arrays):
    for array in arrays:
        observer.update(array)
    return observer.range()


@given(st.lists(FLOATS, min_size=1, max_size=5))
@settings(deadline=None, max_examples=50)
def test_min_max_is_that_of_all_data(arrays):
    whole = np.concatenate(arrays)
    assert observe(MinMax(), arrays) == (whole.min(), whole.max())


@given(st.lists(FLOATS, min_size=1, max_size=5), st.floats(0.1, 1.0))
@settings(deadline=None, max_examples=100)
def test_percentile_does_not_depend_on_order_or_cuts(arrays, fraction):
    whole = np.concatenate(arrays)
    ranges = {
        observe(Percentile(fraction), arrays),
        observe(Percentile(fraction), arrays[::-1]),
        observe(Percentile(fraction), [whole]),
        observe(Percentile(fraction), np.sort(whole)),
    }
    assert len(ranges) == 1


@given(st.lists(FLOATS, min_size=1, max_size=3), st.floats(0.1, 1.0))
@settings(deadline=None, max_examples=100)
def test_percentile_keeps_the_fraction_within_one_bin_of_numpy(arrays, fraction):
    whole = np.sort(np.concatenate(arrays).astype(np.float64))
    low, high = observe(Percentile(fraction), arrays)
    kept = np.mean((whole >= low) & (whole <= high))
    assert kept >= fraction - 1e-9
    cut = (1 - fraction) / 2
    bin_width = 2**-12 * np.abs(whole).max()
    assert low >= np.quantile(whole, cut, method="lower") - bin_width
    assert high <= np.quantile(whole, 1 - cut, method="higher") + bin_width


def test_whole_percentile_is_min_max():
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    assert observe(Percentile(1.0), [values]) == (values.min(), values.max())


def test_percentile_cuts_outliers_off():
    values = np.random.default_rng(0).uniform(-1, 1, 100_000).astype(np.float32)
    values[:3] = 30
    low, high = observe(Percentile(0.999), [values])
    assert -1 <= low < -0.99
    assert 0.99 < high < 1.02


def test_memory_does_not_grow_with_the_data():
    observer = Percentile()
    observer.update(np.ones(10, np.float32))
    before = observer._counts.nbytes
    for exponent in range(-30, 30):
        observer.update(np.full(1000, 2.0**exponent, np.float32))
    assert observer._counts.nbytes == before
    assert observer._counts.sum() == 60_010


@pytest.mark.parametrize("observer", [MinMax, Percentile])
def test_all_zero_data_has_the_range_zero(observer):
    assert observe(observer(), [np.zeros((2, 3), np.float32)]) == (0, 0)


@pytest.mark.parametrize("observer", [MinMax, Percentile])
def test_no_data_has_no_range(observer):
    with pytest.raises(CalibrationError, match="give calibration data"):
        observe(observer(), [np.zeros((0, 3), np.float32)])


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.1, float("nan")])
def test_impossible_fractions_are_refused(fraction):
    with pytest.raises(CalibrationError, match="percentile fraction"):
        Percentile(fraction)
