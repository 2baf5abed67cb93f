import torch

from openwork.zoo import resnet20, resnet50
from openwork.zoo.resnet import resnet18, resnext50


def test_resnet50_has_the_parameters_of_torchvision() -> None:
    state = resnet50().state_dict()
    assert sum(value.numel() for value in resnet50().parameters()) == 25_557_032
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer1.0.downsample.0.weight"].shape == (256, 64, 1, 1)
    assert state["layer1.0.downsample.1.running_var"].shape == (256,)
    assert state["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    assert state["fc.weight"].shape == (1000, 2048)
    assert len(state) == 320


def test_the_stride_of_version_1_5_is_in_the_3x3() -> None:
    block = resnet50().layer2[0]
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def test_resnet20_halves_the_image_twice() -> None:
    model = resnet20().eval()
    x = torch.zeros(2, 1, 16, 16)
    shapes = []
    for name, module in model.named_children():
        x = module(x)
        if name.startswith("layer"):
            shapes.append(tuple(x.shape))
    assert shapes == [(2, 16, 16, 16), (2, 32, 8, 8), (2, 64, 4, 4)]
    assert x.shape == (2, 10)


def test_resnet20_of_other_widths() -> None:
    model = resnet20((8, 12, 20), channels=3, classes=7)
    assert model.layer3[2].conv2.weight.shape == (20, 20, 3, 3)
    assert model.eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 7)


def test_resnext50_has_32_groups_of_4_in_its_3x3() -> None:
    state = resnext50().state_dict()
    assert state["layer1.0.conv1.weight"].shape == (128, 64, 1, 1)
    assert state["layer1.0.conv2.weight"].shape == (128, 4, 3, 3)
    assert state["layer4.2.conv2.weight"].shape == (1024, 32, 3, 3)
    assert state["layer4.2.conv3.weight"].shape == (2048, 1024, 1, 1)
    assert len(state) == 320


def test_resnet18_has_the_parameters_of_torchvision() -> None:
    state = resnet18().state_dict()
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.1.conv2.weight"].shape == (512, 512, 3, 3)
    assert len(state) == 122
