import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from openwork.compression import Cut
from openwork.sparsity import Block, Unstructured, find_pattern
from openwork.zoo import Digits, ResNet, accuracy, load_digits_split, resnet20, train_dense, train_sparse
from openwork.zoo.train import _shift

BLOCKS = Block((1, 4, 1, 1))


@pytest.fixture(scope="module")
def few() -> Digits:
    """Enough digits for three steps an epoch."""
    data = load_digits_split(seed=0)
    return replace(data, train_images=data.train_images[:200], train_labels=data.train_labels[:200])


def seeded_resnet20(*widths: int) -> ResNet:
    torch.manual_seed(0)
    return resnet20(widths)


def test_accuracy_counts_the_largest_logits() -> None:
    images = np.eye(4, dtype=np.float32).reshape(4, 1, 2, 2)
    assert accuracy(nn.Flatten(), images, np.array([0, 1, 2, 0])) == 0.75


def test_history_and_progress_of_sparse_training(few: Digits) -> None:
    model = seeded_resnet20(4, 8, 8)
    calls = []
    history = train_sparse(
        model, few, Cut(0.8, BLOCKS), epochs=4, progress=lambda done, total: calls.append((done, total))
    )
    assert calls == [(step, 12) for step in range(1, 13)]
    assert [milestone.step for milestone in history] == [0, 3, 6, 9, 12]
    sparsities = [milestone.sparsity for milestone in history]
    assert sparsities == sorted(sparsities)
    assert sparsities[0] == 0
    assert sparsities[-1] == pytest.approx(0.8, abs=0.02)
    assert find_pattern(model.layer3[1].conv1.weight.detach().numpy()).pattern == BLOCKS
    assert not model.training
    assert history[-1].accuracy == accuracy(model, few.held_out_images, few.held_out_labels)


def test_the_same_seed_gives_the_same_weights(few: Digits) -> None:
    def trained(seed: int) -> dict[str, torch.Tensor]:
        model = seeded_resnet20(4, 8, 8)
        train_dense(model, few, epochs=1, seed=seed)
        train_sparse(model, few, Cut(0.5), epochs=1, seed=seed)
        return model.state_dict()

    one, same, other = trained(7), trained(7), trained(8)
    assert all(torch.equal(value, same[name]) for name, value in one.items())
    assert not torch.equal(one["fc.weight"], other["fc.weight"])


def test_images_are_shifted_by_a_pixel_at_most() -> None:
    image = torch.zeros(1, 1, 8, 8)
    image[0, 0, 4, 4] = 1
    shifted = _shift(image.expand(200, 1, 8, 8), torch.Generator().manual_seed(0))
    places = {tuple(place) for place in shifted[:, 0].nonzero()[:, 1:].tolist()}
    assert places == {(row, column) for row in (3, 4, 5) for column in (3, 4, 5)}
    assert shifted.sum() == 200


@pytest.mark.slow
def test_ninety_percent_sparse_is_nearly_as_accurate_as_dense() -> None:
    data = load_digits_split(seed=0)
    dense = seeded_resnet20(16, 32, 64)
    reached = train_dense(dense, data, seed=0)[-1].accuracy
    assert reached > 0.98
    for pattern in (Unstructured(), BLOCKS):
        last = train_sparse(copy.deepcopy(dense), data, Cut(0.9, pattern), seed=0)[-1]
        assert last.sparsity == pytest.approx(0.9, abs=0.005)
        assert last.accuracy > reached - 0.015, pattern
