"""Steps 1 and 2: train, then cut while training goes on."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from openwork import report
from openwork.demo.recipes import TRAININGS
from openwork.zoo import Digits, Milestone, resnet20, train_dense, train_sparse

# Called with what is being done, the steps done and the steps in all.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """A network and how its training went."""

    module: nn.Module
    history: tuple[Milestone, ...]


def train_networks(data: Digits, seed: int, progress: Progress) -> dict[str, Trained]:
    """A ResNet-20 for each of TRAININGS; the sparse ones go on from the dense one's weights."""
    torch.manual_seed(seed)
    dense = resnet20()
    networks = {}
    for name, cut in TRAININGS.items():
        tell = partial(progress, f"training {name}, seed {seed}")
        if cut is None:
            networks[name] = Trained(dense, train_dense(dense, data, seed=seed, progress=tell))
        else:
            module = copy.deepcopy(dense)
            networks[name] = Trained(module, train_sparse(module, data, cut, seed=seed, progress=tell))
    return networks


def histories(networks: dict[str, Trained]) -> tuple[report.Training, ...]:
    """The training runs for the report; the sparse ones begin where the dense one ended."""
    end = networks["dense"].history[-1].step
    return tuple(
        report.Training(
            name,
            tuple(replace(point, step=point.step + (0 if name == "dense" else end)) for point in trained.history),
        )
        for name, trained in networks.items()
    )
