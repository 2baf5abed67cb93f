"""ResNets. Parameter names are torchvision's."""

from collections.abc import Sequence

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, into: int, width: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(into, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _projection(into, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + self.downsample(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside a shortcut; the stride is in the 3x3 (version 1.5)."""

    expansion = 4
    groups = 1

    def __init__(self, into: int, width: int, stride: int):
        super().__init__()
        out = width * self.expansion
        inner = self.inner_width(width)
        self.conv1 = nn.Conv2d(into, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride, padding=1, groups=self.groups, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _projection(into, out, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + self.downsample(x))

    @staticmethod
    def inner_width(width: int) -> int:
        """Channels of the 3x3 convolution."""
        return width


class GroupedBottleneck(Bottleneck):
    """A bottleneck with a 3x3 convolution of 32 groups, twice as wide."""

    groups = 32

    @staticmethod
    def inner_width(width: int) -> int:
        return 2 * width


class ResNet(nn.Module):
    """A stem, stages of residual blocks of which all but the first halve the image, and a classifier.

    stem: the layers before the first stage, by name.
    depths, widths: blocks of each stage, and the width inside them.
    """

    def __init__(
        self,
        stem: dict[str, nn.Module],
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        widths: Sequence[int],
        classes: int,
    ):
        super().__init__()
        for name, module in stem.items():
            self.add_module(name, module)
        into = widths[0]
        for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            blocks = []
            for index in range(depth):
                blocks.append(block(into, width, stride=2 if stage > 0 and index == 0 else 1))
                into = width * block.expansion
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(into, classes)

    def forward(self, x: Tensor) -> Tensor:
        for module in self.children():
            x = module(x)
        return x


def resnet20(widths: Sequence[int] = (16, 32, 64), *, channels: int = 1, classes: int = 10) -> ResNet:
    """ResNet-20 for small images, [N, 1, 16, 16] by default, to logits [N, 10].

    Source: He et al. 2015, arXiv:1512.03385, section 4.2. Differs: projection shortcuts (option B).
    """
    stem: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(channels, widths[0], 3, padding=1, bias=False),
        "bn1": nn.BatchNorm2d(widths[0]),
        "relu": nn.ReLU(inplace=True),
    }
    return ResNet(stem, BasicBlock, (3, 3, 3), widths, classes)


def resnet18(*, classes: int = 1000) -> ResNet:
    """ResNet-18, [N, 3, 224, 224] to logits [N, 1000].

    Source: He et al. 2015, arXiv:1512.03385, table 1.
    """
    return ResNet(_large_stem(), BasicBlock, (2, 2, 2, 2), (64, 128, 256, 512), classes)


def resnet50(*, classes: int = 1000) -> ResNet:
    """ResNet-50 version 1.5, [N, 3, 224, 224] to logits [N, 1000].

    Source: He et al. 2015, arXiv:1512.03385, table 1.
    """
    return ResNet(_large_stem(), Bottleneck, (3, 4, 6, 3), (64, 128, 256, 512), classes)


def resnext50(*, classes: int = 1000) -> ResNet:
    """ResNeXt-50 (32x4d), [N, 3, 224, 224] to logits [N, 1000].

    Source: Xie et al. 2016, arXiv:1611.05431, table 1.
    """
    return ResNet(_large_stem(), GroupedBottleneck, (3, 4, 6, 3), (64, 128, 256, 512), classes)


def _large_stem() -> dict[str, nn.Module]:
    """A quarter of the image's side, in 64 channels."""
    return {
        "conv1": nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False),
        "bn1": nn.BatchNorm2d(64),
        "relu": nn.ReLU(inplace=True),
        "maxpool": nn.MaxPool2d(3, stride=2, padding=1),
    }


def _projection(into: int, out: int, stride: int) -> nn.Module:
    if stride == 1 and into == out:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))
