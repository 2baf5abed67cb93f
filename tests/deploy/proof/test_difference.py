import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from openwork.deploy.proof.difference import Difference, cosine_distance, difference, value_range

VECTORS = arrays.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e3, 1e3))


def test_a_worked_example() -> None:
    result = np.array([1.0, 2.0, 3.0, 4.0], np.float32)
    reference = np.array([1.0, 2.5, 3.0, 5.0], np.float32)
    found = difference("y", result, reference, 0.5)
    assert found.max_abs_diff == 1.0
    assert found.mean_abs_diff == 0.375
    assert found.correct_ratio == 0.75
    assert found.distance == pytest.approx(1 - 35 / (30 * 41.25) ** 0.5)
    assert not found.passed
    assert difference("y", result, reference, 1.0).passed


def test_integers_are_compared_without_wrapping_around() -> None:
    found = difference("y", np.array([0, 255], np.uint8), np.array([255, 0], np.uint8), 0)
    assert found.max_abs_diff == 255
    assert found.correct_ratio == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_passes(wrong: float) -> None:
    assert not difference("y", np.array([1.0, wrong]), np.ones(2), 1e300).passed


def test_equal_infinities_are_equal() -> None:
    values = np.array([np.inf, -np.inf, 1.0])
    assert difference("y", values, values, 0).passed


def test_no_number_is_equal_to_itself_alone() -> None:
    values = np.array([np.nan, np.inf, 1.0])
    found = difference("y", values, values, 0)
    assert found.passed and found.distance == found.max_abs_diff == 0
    assert not difference("y", np.ones(3), values, 1e300).passed
    assert value_range(values) == 1


def test_zero_vectors_have_a_distance() -> None:
    assert cosine_distance(np.zeros(3), np.zeros(3)) == 0
    assert cosine_distance(np.zeros(3), np.ones(3)) == 1
    assert cosine_distance(np.ones(3), -np.ones(3)) == pytest.approx(2)


@settings(deadline=None, max_examples=50)
@given(VECTORS, st.floats(0.1, 10))
def test_a_vector_has_no_distance_from_its_multiples(vector: np.ndarray, factor: float) -> None:
    assert cosine_distance(vector, vector) < 1e-9
    if np.linalg.norm(vector) > 1e-3:
        assert cosine_distance(vector, factor * vector) < 1e-9


@settings(deadline=None, max_examples=50)
@given(VECTORS)
def test_the_range_holds_every_value_and_zero(vector: np.ndarray) -> None:
    low, high = min(0.0, *vector), max(0.0, *vector)
    assert value_range(vector) == high - low


def test_json_and_back() -> None:
    found = difference("y", np.arange(3.0), np.arange(3.0) + 0.1, 0.5)
    assert Difference.from_json(found.to_json()) == found
