from torch import nn

from openwork.zoo import mobilenet_v2
from openwork.zoo.mobilenet import SqueezeExcitation, mobilenet_v1, mobilenet_v3


def test_it_has_the_parameters_of_torchvision() -> None:
    model = mobilenet_v2()
    state = model.state_dict()
    assert sum(value.numel() for value in model.parameters()) == 3_504_872
    assert state["features.0.0.weight"].shape == (32, 3, 3, 3)
    assert state["features.1.conv.0.0.weight"].shape == (32, 1, 3, 3)
    assert state["features.2.conv.1.0.weight"].shape == (96, 1, 3, 3)
    assert state["features.17.conv.2.weight"].shape == (320, 960, 1, 1)
    assert state["features.18.0.weight"].shape == (1280, 320, 1, 1)
    assert state["classifier.1.weight"].shape == (1000, 1280)
    assert len(state) == 314


def test_ten_blocks_have_a_shortcut() -> None:
    assert sum(getattr(module, "has_shortcut", False) for module in mobilenet_v2().modules()) == 10


def test_narrowing_is_linear() -> None:
    block = mobilenet_v2().features[3].conv
    assert [type(module) for module in block[1]] == [nn.Conv2d, nn.BatchNorm2d, nn.ReLU6]
    assert [type(module) for module in block[2:]] == [nn.Conv2d, nn.BatchNorm2d]


def test_version_3_has_the_parameters_of_torchvision() -> None:
    state = mobilenet_v3().state_dict()
    assert state["features.1.block.0.0.weight"].shape == (16, 1, 3, 3)
    assert state["features.4.block.2.fc1.weight"].shape == (24, 72, 1, 1)
    assert state["features.15.block.3.0.weight"].shape == (160, 960, 1, 1)
    assert state["features.16.0.weight"].shape == (960, 160, 1, 1)
    assert state["classifier.0.weight"].shape == (1280, 960)
    assert len(state) == 312


def test_eight_blocks_of_version_3_excite() -> None:
    model = mobilenet_v3()
    assert sum(isinstance(module, SqueezeExcitation) for module in model.modules()) == 8
    assert sum(isinstance(module, nn.Hardswish) for module in model.modules()) == 21


def test_version_1_alternates_depthwise_and_pointwise() -> None:
    convolutions = [module for module in mobilenet_v1().modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 27
    assert all(conv.groups == conv.in_channels and conv.kernel_size == (3, 3) for conv in convolutions[1::2])
    assert all(conv.groups == 1 and conv.kernel_size == (1, 1) for conv in convolutions[2::2])
