"""Networks with random weights that behave like trained ones: for compiling, measuring and testing."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from openwork.compression import Cut, Schedule, Sparsifier, choose_cuts, recalibrate_batch_norm
from openwork.errors import ModelError
from openwork.sparsity import UNSTRUCTURED, Pattern
from openwork.zoo.mobilenet import mobilenet_v2
from openwork.zoo.resnet import resnet20, resnet50


@dataclass(frozen=True)
class _Network:
    build: Callable[[], nn.Module]
    input_shape: tuple[int, ...]


_NETWORKS = {
    "resnet20": _Network(resnet20, (1, 1, 16, 16)),
    "resnet50": _Network(resnet50, (1, 3, 224, 224)),
    "mobilenet_v2": _Network(mobilenet_v2, (1, 3, 224, 224)),
}
# Enough to estimate a mean and a variance per channel even where images have shrunk to 4x4.
_CALIBRATION_IMAGES = 8


def zoo_names() -> tuple[str, ...]:
    """The names `make_model` takes."""
    return tuple(_NETWORKS)


def input_shape(name: str) -> tuple[int, ...]:
    """The shape of the network's input, with batch 1. Raises: ModelError: no such network."""
    return _network(name).input_shape


def make_model(
    name: str,
    *,
    sparsity: float = 0.0,
    pattern: Pattern = UNSTRUCTURED,
    seed: int = 0,
    progress: Callable[[str], None] = lambda stage: None,
) -> nn.Module:
    """A network with random weights, cut by magnitude, in evaluation mode.

    BatchNorm statistics are measured on random images after cutting, and logits are scaled to a standard
    deviation of one, so that activations neither vanish nor explode.

    Args:
        sparsity: of every layer but the first convolution and depthwise ones; 0 leaves the network dense.
        seed: of weights and images. The same seed gives the same network; torch's generator is left alone.
        progress: called with what is being done, when it begins.
    Raises: ModelError: no such network. PatternError: sparsity is outside [0, 1).
    """
    network = _network(name)
    progress("drawing weights")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = network.build()
        _draw_weights(model)
        images = torch.randn(_CALIBRATION_IMAGES, *network.input_shape[1:])
    if sparsity != 0:
        progress("pruning")
        Sparsifier(model, choose_cuts(model, Cut(sparsity, pattern)), Schedule(begin=0, end=1)).step()
    progress("measuring BatchNorm statistics")
    model.eval()
    recalibrate_batch_norm(model, [images])
    _scale_logits(model, images)
    return model


def _network(name: str) -> _Network:
    if name not in _NETWORKS:
        raise ModelError(f"{name}: no such network in the zoo; choose from {', '.join(_NETWORKS)}")
    return _NETWORKS[name]


def _draw_weights(model: nn.Module) -> None:
    """Source: He et al. 2015, arXiv:1502.01852, equation 14."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


@torch.no_grad()
def _scale_logits(model: nn.Module, images: Tensor) -> None:
    classifier = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    classifier.weight /= model(images).std()
