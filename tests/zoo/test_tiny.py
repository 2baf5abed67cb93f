from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval

from openwork.zoo.tiny import autoencoder, ds_cnn


def test_ds_cnn_has_the_weights_of_mlperf_tiny_once_folded() -> None:
    """22,604 weights and biases are in the file that the benchmark publishes."""
    layers = list(ds_cnn().eval())
    folded = [fuse_conv_bn_eval(layer, norm) for layer, norm in pairwise(layers) if _norm(norm)]
    assert len(folded) == 9
    assert sum(p.numel() for layer in (*folded, layers[-1]) for p in layer.parameters()) == 22_604


def test_ds_cnn_pads_as_tensorflow_does() -> None:
    """Places of the first kernel lie at -4 (above the image) to 44, with a row more below than above."""
    model = ds_cnn().eval()
    assert model[:4](torch.zeros(1, 1, 49, 10)).shape == (1, 64, 25, 5)
    impulse = torch.zeros(1, 1, 49, 10)
    impulse[0, 0, 0, 0] = 1
    conv = model[1]
    response = conv(model[0](impulse)) - conv.bias[:, None, None]
    assert torch.allclose(response[0, :, 0, 0], conv.weight[:, 0, 4, 1], atol=1e-6)


def test_autoencoder_has_the_weights_of_mlperf_tiny_once_folded() -> None:
    linear = [module for module in autoencoder() if isinstance(module, nn.Linear)]
    assert [layer.out_features for layer in linear] == [128] * 4 + [8] + [128] * 4 + [640]
    assert sum(p.numel() for layer in linear for p in layer.parameters()) == 265_864


def _norm(module: nn.Module) -> bool:
    return isinstance(module, nn.BatchNorm2d)
