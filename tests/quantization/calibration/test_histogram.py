"""Histograms against numpy on the whole data at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.errors import CalibrationError
from openwork.quantization.calibration.histogram import Histogram
from tests.quantization.calibration.arrays import STREAMS, observe


@given(STREAMS, st.sampled_from([4, 1024, 2048]))
@settings(deadline=None, max_examples=100)
def test_counts_are_those_of_numpy(arrays, bins):
    whole = np.concatenate([array.ravel() for array in arrays]).astype(np.float64)
    histogram = observe(Histogram(bins), arrays)
    edges = histogram.edges
    assert (histogram.counts == np.histogram(whole, edges)[0]).all()
    assert histogram.counts.sum() == whole.size
    assert histogram.zeros == (whole == 0).sum()
    assert edges[bins] == 0
    largest = np.abs(whole).max()
    assert largest < edges[-1] <= max(2 * largest, np.finfo(np.float32).tiny)


@given(STREAMS)
@settings(deadline=None, max_examples=50)
def test_magnitudes_are_those_of_numpy_without_zeros(arrays):
    whole = np.abs(np.concatenate([array.ravel() for array in arrays])).astype(np.float64)
    histogram = observe(Histogram(16), arrays)
    edges = histogram.edges[16:]
    expected = np.histogram(whole[whole > 0], edges)[0]
    on_an_edge = np.isin(whole, edges)  # of negative numbers, they count one bin below
    if not on_an_edge[whole > 0].any():
        assert (histogram.magnitudes() == expected).all()
    assert histogram.magnitudes().sum() == expected.sum()


def test_floats_of_sixteen_bits_are_counted_exactly():
    values = np.array([0.1, -3.3, 5e-8, 0], np.float16)
    histogram = observe(Histogram(2048), [values])
    assert (histogram.counts == np.histogram(values.astype(np.float64), histogram.edges)[0]).all()


@pytest.mark.parametrize("bins", [0, 1, 3, 1000, 1 << 21])
def test_impossible_bins_are_refused(bins):
    with pytest.raises(CalibrationError, match="bins"):
        Histogram(bins)


@pytest.mark.parametrize(
    "change",
    [
        {"counts": "not base64!"},
        {"counts": "AAAA"},
        {"limit": 3.0},
        {"limit": -1.0},
        {"limit": float("inf")},
        {"zeros": -1},
        {"zeros": 10},
        {"zeros": 1.5},
        {"bins": 32},
        {"bins": True},
        {"low": 5.0},
        {"high": float("nan")},
        {"low": None},
    ],
)
def test_damaged_state_is_refused(change):
    good = observe(Histogram(16), [np.array([-1, 0, 2], np.float32)]).to_json()
    assert Histogram.from_json(good).to_json() == good
    with pytest.raises((ValueError, TypeError)):
        Histogram.from_json({**good, **change})


def test_counts_that_unpack_without_end_are_not_unpacked():
    import base64
    import zlib

    good = observe(Histogram(16), [np.ones(1, np.float32)]).to_json()
    bomb = base64.b64encode(zlib.compress(bytes(1 << 24), 9)).decode()
    with pytest.raises(ValueError, match="bytes where there should be 256"):
        Histogram.from_json({**good, "counts": bomb})
