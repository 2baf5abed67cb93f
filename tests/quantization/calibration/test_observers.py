"""What all observers promise, and the ends of min-max and moving averages."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.errors import CalibrationError
from openwork.quantization import KL, METHODS, MSE, MinMax, MovingAverage, Percentile
from tests.quantization.calibration.arrays import STREAMS, observe

EVERY = [MinMax, MovingAverage, Percentile, KL, MSE]
EXACT = [MinMax, Percentile, lambda: Percentile(0.9), KL, lambda: KL(256, 8), MSE, lambda: MSE(16)]


def state(observer):
    return json.dumps(observer.to_json())


@given(STREAMS)
@settings(deadline=None, max_examples=50)
def test_min_max_is_that_of_all_data(arrays):
    whole = np.concatenate([array.ravel() for array in arrays])
    assert observe(MinMax(), arrays).range() == (whole.min(), whole.max())


@given(STREAMS, st.floats(0, 0.99))
@settings(deadline=None, max_examples=50)
def test_moving_average_is_the_recurrence(arrays, momentum):
    low, high = float(arrays[0].min()), float(arrays[0].max())
    largest = max(float(np.abs(array).max()) for array in arrays)
    for array in arrays[1:]:
        low = momentum * low + (1 - momentum) * float(array.min())
        high = momentum * high + (1 - momentum) * float(array.max())
    found = observe(MovingAverage(momentum), arrays).range()
    np.testing.assert_allclose(found, (low, high), rtol=1e-9, atol=1e-9 * largest)


def test_merged_moving_averages_are_weighted_by_their_arrays():
    one = observe(MovingAverage(0.5), [np.array([0, 1], np.float32)] * 3)
    other = observe(MovingAverage(0.5), [np.array([-4, 5], np.float32)])
    one.merge(other)
    assert one.range() == (-1, 2)
    one.merge(MovingAverage(0.5))
    assert one.range() == (-1, 2)
    empty = MovingAverage(0.5)
    empty.merge(one)
    assert state(empty) == state(one)


@pytest.mark.parametrize("make", EXACT)
@given(arrays=STREAMS, cut=st.integers(0, 6))
@settings(deadline=None, max_examples=60)
def test_merged_shards_are_as_all_data_at_once(make, arrays, cut):
    whole, one, other = make(), make(), make()
    observe(whole, arrays)
    observe(one, arrays[:cut])
    observe(other, arrays[cut:])
    before = state(other)
    one.merge(other)
    assert state(one) == state(whole)
    assert one.range() == whole.range()
    assert state(other) == before


@pytest.mark.parametrize("make", EXACT)
@given(arrays=STREAMS)
@settings(deadline=None, max_examples=30)
def test_neither_order_nor_batch_size_matters(make, arrays):
    whole = np.concatenate([array.ravel() for array in arrays])
    streams = [arrays, arrays[::-1], [whole], np.array_split(whole, 3)]
    assert len({state(observe(make(), stream)) for stream in streams}) == 1


@pytest.mark.parametrize("make", [*EXACT, MovingAverage])
@given(arrays=STREAMS)
@settings(deadline=None, max_examples=30)
def test_json_holds_all(make, arrays):
    observer = observe(make(), arrays)
    again = type(observer).from_json(json.loads(state(observer)))
    assert state(again) == state(observer)
    assert again.range() == observer.range()
    for each in (again, observer):
        each.update(np.array([3, -9], np.float32))
    assert state(again) == state(observer)


@pytest.mark.parametrize("make", [*EXACT, MovingAverage])
@given(arrays=STREAMS)
@settings(deadline=None, max_examples=60)
def test_no_range_is_wider_than_what_was_seen_or_upside_down(make, arrays):
    low, high = observe(make(), arrays).range()
    assert low <= high
    assert min(0, *(array.min() for array in arrays)) <= low
    assert max(0, *(array.max() for array in arrays)) >= high


@pytest.mark.parametrize("make", EVERY)
def test_all_zero_data_has_the_range_zero(make):
    assert observe(make(), [np.zeros((2, 3), np.float32)]).range() == (0, 0)


@pytest.mark.parametrize("make", EVERY)
def test_no_data_has_no_range(make):
    observer = observe(make(), [np.zeros((0, 3), np.float32)])
    with pytest.raises(CalibrationError, match="give calibration data"):
        observer.range()
    again = make().from_json(json.loads(state(observer)))
    with pytest.raises(CalibrationError, match="give calibration data"):
        again.range()


@pytest.mark.parametrize("make", EVERY)
def test_state_does_not_grow_with_the_data(make):
    rng = np.random.default_rng(0)
    observer = observe(make(), [rng.standard_normal(100).astype(np.float32)])
    before = {name: getattr(x, "nbytes", 0) for name, x in vars(observer).items()}
    for exponent in range(-30, 30):
        observer.update(np.full(1000, 2.0**exponent, np.float32))
    assert {name: getattr(x, "nbytes", 0) for name, x in vars(observer).items()} == before


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Percentile(0.9), Percentile(0.8)),
        (KL(256), KL(512)),
        (KL(256, 8), KL(256, 9)),
        (MSE(4), MSE(8)),
        (MSE(), MSE(scale="span")),
        (MovingAverage(0.1), MovingAverage(0.2)),
    ],
)
def test_observers_of_different_settings_do_not_merge(one, other):
    for observer in (one, other):
        observer.update(np.ones(3, np.float32))
    with pytest.raises(CalibrationError, match="merge tables of one calibrator"):
        one.merge(other)


@pytest.mark.parametrize(
    ("make", "reason"),
    [(lambda x=x: Percentile(x), "percentile fraction") for x in (0.0, -1.0, 1.1, float("nan"))]
    + [(lambda x=x: MovingAverage(x), "momentum") for x in (-0.1, 1.0, float("nan"))]
    + [(lambda: KL(1000), "bins"), (lambda: KL(256, 200), "targets"), (lambda: KL(256, 1), "targets")]
    + [(lambda: MSE(1), "levels"), (lambda: MSE(8, "round"), "scale 'round' of 8 levels")],  # type: ignore[arg-type],
)
def test_impossible_settings_are_refused(make, reason):
    with pytest.raises(CalibrationError, match=reason):
        make()


def test_methods_are_called_as_they_call_themselves():
    assert list(METHODS) == ["minmax", "moving_average", "percentile", "kl", "mse"]
    assert set(METHODS.values()) == set(EVERY)
