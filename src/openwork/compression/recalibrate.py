"""BatchNorm statistics, measured anew."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from openwork.errors import CalibrationError


@torch.no_grad()
def recalibrate_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Replace the running mean and variance of every BatchNorm by their averages over some batches.

    Pruning shifts the distribution of activations; the old statistics then cost more accuracy than the zeros.
    Weights do not change. Everything but BatchNorm runs in evaluation mode; modes are restored afterwards.

    Args:
        batches: inputs of the model, of equal size, more than one value per channel; ten to fifteen suffice.
    Raises: CalibrationError: there are no batches; the statistics are then unchanged.
    Source: Li et al. 2020 (EagleEye), arXiv:2007.02491, adaptive batch normalization.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    training = {module: module.training for module in model.modules()}
    momentum = {norm: norm.momentum for norm in norms}
    empty = True
    model.eval()
    try:
        for batch in batches:
            if empty:
                _start_average(norms)
                empty = False
            model(batch)
    finally:
        for module, was_training in training.items():
            module.training = was_training
        for norm in norms:
            norm.momentum = momentum[norm]
    if empty:
        raise CalibrationError("BatchNorm recalibration: no batches were given; pass some training inputs")


def _start_average(norms: list[_BatchNorm]) -> None:
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch: the plain average of all batches
        norm.train()
