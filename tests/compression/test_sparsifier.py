import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from openwork.compression import Cut, Schedule, Sparsifier, cubic_sparsity
from openwork.errors import ModelError, PatternError
from openwork.sparsity import NM, Block, find_pattern
from tests.compression.networks import images, small

CUTS = {"body.2": Cut(0.5, Block((1, 4, 1, 1))), "hidden": Cut(0.9), "out": Cut(0.5, NM(2, 4))}


class Loop:
    """A training loop with all that disturbs zeros: momentum, weight decay, a Sparsifier that begins late."""

    def __init__(self, schedule: Schedule = Schedule(begin=2, end=14, frequency=3)):  # noqa: B008
        self.model = small()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
        self.sparsifier = Sparsifier(self.model, CUTS, schedule)

    def train(self, first: int, last: int, watch: Callable[[int], None] = lambda step: None) -> None:
        for step in range(first, last + 1):
            batch = images(8, seed=step)
            self.optimizer.zero_grad()
            F.cross_entropy(self.model(batch), (batch.mean((1, 2, 3)) > 0).long()).backward()
            self.sparsifier.prepare()
            self.optimizer.step()
            self.sparsifier.step()
            watch(step)

    def state(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimizer": self.optimizer, "sparsifier": self.sparsifier}
        return {name: part.state_dict() for name, part in parts.items()}

    def load(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sparsifier.load_state_dict(state["sparsifier"])


def test_sparsity_follows_the_schedule() -> None:
    loop = Loop()
    seen = {}

    def watch(step: int) -> None:
        masks = loop.sparsifier.masks()
        seen[step] = masks["hidden"].sparsity if masks else 0.0

    loop.train(1, 20, watch)
    for step, sparsity in seen.items():
        due = max((update for update in (2, 5, 8, 11, 14) if update <= step), default=0)
        assert sparsity == pytest.approx(cubic_sparsity(due, begin=2, end=14, final=0.9), abs=1e-3)


def test_dropped_weights_stay_zero_through_momentum_and_weight_decay() -> None:
    loop = Loop()
    loop.train(1, 14)
    frozen = loop.sparsifier.masks()

    def watch(step: int) -> None:
        for name, mask in frozen.items():
            weight = loop.model.get_submodule(name).weight.detach().numpy()
            assert (weight[~mask.keep] == 0).all(), f"{name} at step {step}"
            assert weight[mask.keep].all()

    loop.train(15, 40, watch)
    assert all(np.array_equal(mask.keep, frozen[name].keep) for name, mask in loop.sparsifier.masks().items())


def test_the_smallest_weights_go_and_the_patterns_hold() -> None:
    loop = Loop(Schedule(begin=0, end=1))
    before = loop.model.hidden.weight.detach().abs().clone()
    loop.sparsifier.step()
    masks = loop.sparsifier.masks()
    assert all(masks[name].pattern == cut.pattern for name, cut in CUTS.items())
    keep = torch.from_numpy(masks["hidden"].keep.copy())
    assert before[keep].min() > before[~keep].max()
    assert find_pattern(loop.model.body[2].weight.detach().numpy()).pattern == Block((1, 4, 1, 1))
    assert find_pattern(loop.model.out.weight.detach().numpy()).two_of_four


def test_prepare_takes_the_gradient_from_dropped_weights_only() -> None:
    loop = Loop(Schedule(begin=0, end=1))
    loop.sparsifier.step()
    loop.model(images(8)).sum().backward()
    loop.sparsifier.prepare()
    gradient = loop.model.hidden.weight.grad.numpy()
    keep = loop.sparsifier.masks()["hidden"].keep
    assert (gradient[~keep] == 0).all()
    assert np.count_nonzero(gradient[keep]) > 0


def test_total_sparsity() -> None:
    loop = Loop(Schedule(begin=0, end=1))
    assert loop.sparsifier.sparsity == 0
    loop.sparsifier.step()
    weights = [loop.model.get_submodule(name).weight for name in CUTS]
    zeros = sum(int((weight == 0).sum()) for weight in weights)
    assert loop.sparsifier.sparsity == zeros / sum(weight.numel() for weight in weights)


@pytest.mark.parametrize("pause", [1, 10, 16])
def test_training_goes_on_bit_identically_after_a_restart(pause: int) -> None:
    straight = Loop()
    straight.train(1, 20)

    first = Loop()
    first.train(1, pause)
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second = Loop()
    second.load(torch.load(file, weights_only=True))
    second.train(pause + 1, 20)

    for name, weight in straight.model.state_dict().items():
        assert torch.equal(weight, second.model.state_dict()[name]), name


def test_a_state_of_other_layers_shapes_or_patterns_is_refused() -> None:
    loop = Loop(Schedule(begin=0, end=1))
    loop.sparsifier.step()
    state = loop.sparsifier.state_dict()

    with pytest.raises(ModelError, match="other layers"):
        Sparsifier(small(), {"out": CUTS["out"]}, Schedule(0, 1)).load_state_dict(state)
    with pytest.raises(PatternError, match="not 1x4"):
        Sparsifier(small(), dict.fromkeys(CUTS, CUTS["body.2"]), Schedule(0, 1)).load_state_dict(state)
    wider = small()
    wider.out = nn.Linear(12, 3)
    with pytest.raises(ModelError, match=r"out is \(2, 12\) instead of \(3, 12\)"):
        Sparsifier(wider, CUTS, Schedule(0, 1)).load_state_dict(state)


def test_unknown_layers_and_broken_weights_are_named() -> None:
    with pytest.raises(ModelError, match=r"body\.0: no Conv2d or Linear"):
        Sparsifier(small(), {"body.0": Cut(0.5)}, Schedule(0, 1))
    loop = Loop(Schedule(begin=0, end=1))
    loop.model.hidden.weight.data[3, 5] = torch.nan
    with pytest.raises(PatternError, match=r"hidden: .* not finite at \(3, 5\)"):
        loop.sparsifier.step()
