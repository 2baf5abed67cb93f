import torch
from torch import nn

from openwork.zoo.unet import UNet, unet


def test_it_returns_to_the_size_of_the_image() -> None:
    model = UNet((4, 8, 16), classes=3).eval()
    assert model(torch.zeros(2, 3, 12, 8)).shape == (2, 3, 12, 8)


def test_each_size_is_kept_for_the_way_back() -> None:
    model = UNet((4, 8, 16), classes=3).eval()
    inputs = []
    for stage in model.up:
        stage.register_forward_hook(lambda module, args, result: inputs.append(tuple(args[0].shape)))
    model(torch.zeros(1, 3, 8, 8))
    assert inputs == [(1, 16, 4, 4), (1, 8, 8, 8)]


def test_23_convolutions() -> None:
    """As the paper counts: 18 of 3x3, 4 that enlarge and the last of 1x1."""
    layers = [module for module in unet().modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(layers) == 23
