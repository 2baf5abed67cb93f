"""Training on the digits: dense, then sparse from the dense weights."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from openwork.compression import Cut, Schedule, Sparsifier, choose_cuts, recalibrate_batch_norm
from openwork.zoo.digits import Digits

# Chosen for the shortest training after which sparse is as accurate as dense; see the tests.
DENSE_EPOCHS = 6
DENSE_RATE = 0.1
SPARSE_EPOCHS = 8
SPARSE_RATE = 0.05
BATCH = 64
# That BatchNorm's statistics are taken of after each epoch. All of them would take a quarter of the training's time.
RECALIBRATION_BATCHES = 10
# Masks are chosen every few steps during this part of sparse training, then frozen for the rest.
CUTTING = 0.6
FREQUENCY = 5

# Called after every optimizer step with the steps done and the steps in all.
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Milestone:
    """Where training stood after an epoch.

    step: optimizer steps done.
    sparsity: of the layers that are being cut.
    accuracy: the fraction of held-out images classified rightly.
    """

    step: int
    sparsity: float
    accuracy: float


def train_dense(
    model: nn.Module,
    data: Digits,
    *,
    epochs: int = DENSE_EPOCHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Milestone, ...]:
    """Train a network that takes [N, 1, 16, 16] and gives logits [N, 10]; it is left in evaluation mode.

    The same seed, weights and number of threads give identical results.

    Args:
        seed: of the order of images and their shifts.
    Returns: a milestone for the start and one for each epoch.
    """
    return _train(model, data, epochs, DENSE_RATE, seed, progress)


def train_sparse(
    model: nn.Module,
    data: Digits,
    cut: Cut,
    *,
    epochs: int = SPARSE_EPOCHS,
    seed: int = 0,
    progress: Progress | None = None,
) -> tuple[Milestone, ...]:
    """Cut a trained network while training goes on; as `train_dense` otherwise.

    The cut holds for every layer that `choose_cuts` names. Zeros come by the cubic schedule; then masks are
    frozen.
    """
    last_cut = max(1, round(CUTTING * epochs * _steps_per_epoch(data)))
    schedule = Schedule(begin=0, end=last_cut, frequency=FREQUENCY)
    sparsifier = Sparsifier(model, choose_cuts(model, cut), schedule)
    return _train(model, data, epochs, SPARSE_RATE, seed, progress, sparsifier)


def accuracy(model: nn.Module, images: NDArray[Any], labels: NDArray[Any]) -> float:
    """The fraction of images, float32[N, 1, 16, 16], with the largest logit at their label, int64[N]."""
    was_training = model.training
    model.eval()
    with torch.no_grad():
        chosen = torch.cat([model(batch).argmax(dim=1) for batch in torch.from_numpy(images).split(256)])
    model.train(was_training)
    return float((chosen == torch.from_numpy(labels)).double().mean())


def _train(
    model: nn.Module,
    data: Digits,
    epochs: int,
    rate: float,
    seed: int,
    progress: Progress | None,
    sparsifier: Sparsifier | None = None,
) -> tuple[Milestone, ...]:
    """SGD with Nesterov momentum and cosine decay, on images shifted at random by up to a pixel."""
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.from_numpy(data.train_images), torch.from_numpy(data.train_labels)
    steps_per_epoch = _steps_per_epoch(data)
    steps = epochs * steps_per_epoch
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    step = 0
    history = [_measure(model, data, step, sparsifier)]
    for _ in range(epochs):
        model.train()
        for batch in torch.randperm(len(images), generator=generator).split(BATCH)[:steps_per_epoch]:
            optimizer.zero_grad()
            F.cross_entropy(model(_shift(images[batch], generator)), labels[batch]).backward()
            if sparsifier:
                sparsifier.prepare()
            optimizer.step()
            if sparsifier:
                sparsifier.step()
            decay.step()
            step += 1
            if progress:
                progress(step, steps)
        history.append(_measure(model, data, step, sparsifier))
    return tuple(history)


def _measure(model: nn.Module, data: Digits, step: int, sparsifier: Sparsifier | None) -> Milestone:
    """Recalibrate BatchNorm, whose running statistics lag behind weights that change fast, then count."""
    model.eval()
    recalibrate_batch_norm(model, torch.from_numpy(data.train_images).split(BATCH)[:RECALIBRATION_BATCHES])
    sparsity = sparsifier.sparsity if sparsifier else 0.0
    return Milestone(step, sparsity, accuracy(model, data.held_out_images, data.held_out_labels))


def _shift(images: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image [N, C, S, S] by -1, 0 or 1 pixel in both directions; zeros come in at the edge."""
    side = images.shape[-1]
    windows = F.pad(images, (1, 1, 1, 1)).unfold(2, side, 1).unfold(3, side, 1)
    rows, columns = torch.randint(3, (2, len(images)), generator=generator)
    return windows[torch.arange(len(images)), :, rows, columns]


def _steps_per_epoch(data: Digits) -> int:
    return len(data.train_images) // BATCH
