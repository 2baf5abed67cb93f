import pytest
import torch
from torch import nn

from openwork.compression import recalibrate_batch_norm
from openwork.errors import CalibrationError
from tests.compression.networks import images, small


def test_statistics_become_those_of_the_batches() -> None:
    norm = nn.BatchNorm1d(2)
    batches = [torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[5.0, 2.0], [7.0, 2.0]])]
    norm.running_mean += 9
    recalibrate_batch_norm(norm, batches)
    assert norm.running_mean.tolist() == [4.0, 1.0]
    assert norm.running_var.tolist() == [2.0, 0.0]


def test_outputs_are_normal_again_after_the_weights_changed() -> None:
    model = small().eval()
    model.stem.weight.data *= 40
    recalibrate_batch_norm(model, images(64).split(8))
    normed = model.body[0](model.stem(images(64)))
    assert normed.mean((0, 2, 3)).abs().max() < 1e-4
    assert (normed.std((0, 2, 3)) - 1).abs().max() < 0.1


@pytest.mark.parametrize("training", [True, False])
def test_only_the_statistics_change(training: bool) -> None:
    model = nn.Sequential(nn.Dropout(), small()).train(training)
    model[1].body[0].momentum = 0.3
    before = {name: value.clone() for name, value in model.state_dict().items()}
    recalibrate_batch_norm(model, images(16).split(8))
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"1.body.0.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}
    assert all(module.training == training for module in model.modules())
    assert model[1].body[0].momentum == 0.3


def test_without_batches_nothing_changes() -> None:
    model = small()
    model(images(8))
    before = model.body[0].running_mean.clone()
    with pytest.raises(CalibrationError, match="no batches"):
        recalibrate_batch_norm(model, [])
    assert torch.equal(model.body[0].running_mean, before)
