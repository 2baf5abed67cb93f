import torch
from torch import nn

from openwork.zoo.classifiers import DenseLayer, ShuffleUnit, densenet121, squeezenet, vgg16


def test_a_shuffle_unit_mixes_what_it_kept_with_what_it_filtered() -> None:
    unit = ShuffleUnit(8, 8, stride=1).eval()
    unit.branch = nn.Identity()
    x = torch.arange(8.0).reshape(1, 8, 1, 1)
    assert unit(x).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_a_shuffle_unit_that_shrinks_filters_everything_twice() -> None:
    unit = ShuffleUnit(24, 116, stride=2).eval()
    assert unit(torch.zeros(2, 24, 8, 6)).shape == (2, 116, 4, 3)
    assert unit.shortcut[0].weight.shape == (24, 1, 3, 3)
    assert unit.branch[0].weight.shape == (58, 24, 1, 1)


def test_a_dense_layer_keeps_its_input() -> None:
    layer = DenseLayer(10, growth=4).eval()
    x = torch.randn(1, 10, 3, 3)
    y = layer(x)
    assert y.shape == (1, 14, 3, 3)
    assert torch.equal(y[:, :10], x)


def test_the_121_layers_of_densenet() -> None:
    assert sum(isinstance(module, nn.Conv2d | nn.Linear) for module in densenet121().modules()) == 121


def test_vgg_takes_the_size_that_it_was_built_for() -> None:
    model = vgg16(size=32, classes=10).eval()
    assert [module.in_features for module in model if isinstance(module, nn.Linear)] == [512, 4096, 4096]
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 10)


def test_squeezenet_pools_13x13() -> None:
    model = squeezenet()
    assert model[:-4](torch.zeros(1, 3, 224, 224)).shape == (1, 512, 13, 13)
