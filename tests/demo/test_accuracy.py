"""What the demo promises: 90 % sparse int8 stays within 1.5 points of dense float32, mean of three seeds."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from openwork.demo.building import accuracy, calibration_batches, export
from openwork.demo.recipes import TRAININGS
from openwork.demo.training import Trained
from openwork.deploy.compile import compile_model
from openwork.quantization import calibrate, quantize
from openwork.targets import load_target
from openwork.zoo import load_digits_split, resnet20, train_dense, train_sparse


def compiled_accuracy(graph, data, folder: Path) -> float:
    compile_model(graph, folder, target=load_target("cpu"))
    return accuracy(folder, data)


@pytest.mark.slow
def test_sparse_integers_are_nearly_as_accurate_as_dense_floats(tmp_path: Path) -> None:
    losses = []
    for seed in range(3):
        data = load_digits_split(seed)
        torch.manual_seed(seed)
        module = resnet20()
        dense = export(Trained(module, train_dense(module, data, seed=seed)))
        module = copy.deepcopy(module)
        sparse = export(Trained(module, train_sparse(module, data, TRAININGS["1x4"], seed=seed)))
        integers = quantize(sparse, calibrate(sparse, calibration_batches(data)))
        before = compiled_accuracy(dense, data, tmp_path / f"dense{seed}")
        after = compiled_accuracy(integers, data, tmp_path / f"sparse{seed}")
        assert before > 0.97
        losses.append(before - after)
    assert np.mean(losses) <= 0.015
