from torch import nn

from openwork.zoo import mobilenet_v2


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
