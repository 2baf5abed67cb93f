"""Calibration against the tensors that onnxruntime computes."""

import weakref

import numpy as np
import pytest

from openwork.errors import CalibrationError, DataError
from openwork.graph import evaluate
from openwork.quantization import Percentile, calibrate
from tests.quantization.networks import batches, network, residual_network

OBSERVED = ["image", "stem_relu", "left_relu", "right", "sum_relu", "mean", "scores"]


def test_ranges_are_those_of_the_tensors():
    model = residual_network()
    data = batches(model, 3)
    ranges = calibrate(model, data)
    tensors = [{**batch, **evaluate(model, batch, taps=OBSERVED[1:])} for batch in data]
    assert ranges == {
        name: (min(t[name].min() for t in tensors), max(t[name].max() for t in tensors)) for name in OBSERVED
    }


def test_no_batch_is_kept_after_its_turn():
    model = residual_network()
    seen = []

    def stream():
        for seed in range(4):
            (batch,) = batches(model, 1, seed=seed)
            seen.append(weakref.ref(batch["image"]))
            yield batch
            del batch
            assert sum(array() is not None for array in seen) <= 1

    calibrate(model, stream())
    assert len(seen) == 4


def test_percentile_narrows_the_range():
    model = residual_network()
    data = batches(model, 4)
    whole, cut = calibrate(model, data), calibrate(model, data, lambda: Percentile(0.99))
    assert whole["image"][0] < cut["image"][0] < cut["image"][1] < whole["image"][1]


def test_empty_set_is_refused():
    with pytest.raises(CalibrationError, match="empty; give at least one batch"):
        calibrate(residual_network(), [])


def test_tensors_that_are_not_finite_are_named():
    model = network(
        "(float[1,2,4,4] x) => (float[1,2,4,4] y) { a = Relu(x) y = Conv<kernel_shape=[1,1]>(a, w) }",
        w=np.full((2, 2, 1, 1), 3e38, np.float32),
    )
    with pytest.raises(CalibrationError, match="tensor 'y': NaN or infinite in batch 1"):
        zeros = np.zeros((1, 2, 4, 4), np.float32)
        calibrate(model, [{"x": zeros}, {"x": zeros + 2}])


def test_wrong_data_is_refused():
    with pytest.raises(DataError):
        calibrate(residual_network(), [{"image": np.zeros((1, 3, 8, 8), np.float32)}])
