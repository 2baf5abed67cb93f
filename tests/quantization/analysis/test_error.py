import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openwork.errors import ModelError
from openwork.quantization.analysis import Error
from openwork.quantization.analysis.error import ErrorSums


def direct_distance(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return 1 - a @ b / np.sqrt((a @ a) * (b @ b))


@given(st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=40), st.integers(0, 1000), st.floats(1e-5, 10))
def test_the_distance_keeps_its_digits(values, seed, size):
    reference = np.array([1.0, *values], np.float32)
    noise = size * np.random.default_rng(seed).standard_normal(len(reference))
    value = (reference + noise).astype(np.float32)
    sums = ErrorSums("t")
    for part in np.array_split(np.arange(len(reference)), 2):  # sums may be taken in parts
        sums.update(reference[part], value[part])
    wanted = direct_distance(reference, value)
    assert sums.error().distance == pytest.approx(wanted, rel=1e-3, abs=1e-9)


def test_grades_are_those_of_mera():
    grades = [Error(0, 0, psnr, 0).grade for psnr in (10, 20, 25, 30, float("inf"))]
    assert grades == ["poor", "acceptable", "good", "very good", "very good"]


def test_what_only_one_of_two_has_no_number_for_is_refused():
    sums = ErrorSums("t")
    hidden = np.array([1, -np.inf, 3], np.float32)
    sums.update(hidden, hidden + np.float32([0.5, 0, 0]))
    assert (sums.error().max_error, sums.count) == (0.5, 2)
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ModelError, match="tensor 't': one model gives NaN or infinity"):
            sums.update(np.array([1, 2], np.float32), np.array([1, bad], np.float32))
    sums.update(np.float32([-3e38, 3e38]), np.float32([3e38, -3e38]))
    assert sums.error().distance == pytest.approx(2)
