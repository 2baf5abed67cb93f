"""Image classifiers of one shape each: VGG, SqueezeNet, DenseNet, ShuffleNetV2."""

import torch
from torch import Tensor, nn


def vgg16(*, size: int = 224, classes: int = 1000) -> nn.Sequential:
    """VGG-16, [N, 3, size, size] to logits [N, 1000]; its first fully connected layer depends on the size.

    Source: Simonyan & Zisserman 2014, arXiv:1409.1556, table 1, configuration D.
    """
    features: list[nn.Module] = []
    into = 3
    for convolutions, out in ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)):
        for _ in range(convolutions):
            features += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU(inplace=True)]
            into = out
        features.append(nn.MaxPool2d(2))
    return nn.Sequential(
        *features,
        nn.Flatten(),
        *(nn.Linear(into * (size // 32) ** 2, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)),
        *(nn.Linear(4096, 4096), nn.ReLU(inplace=True), nn.Dropout(0.5)),
        nn.Linear(4096, classes),
    )


class Fire(nn.Module):
    """Squeeze with 1x1 filters, expand with 1x1 and 3x3 ones side by side."""

    def __init__(self, into: int, squeezed: int, expanded: int):
        super().__init__()
        self.squeeze = nn.Conv2d(into, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1x1(x)), self.relu(self.expand3x3(x))], dim=1)


def squeezenet(*, classes: int = 1000) -> nn.Sequential:
    """SqueezeNet 1.1, [N, 3, 224, 224] to logits [N, 1000].

    Source: Iandola et al. 2016, arXiv:1602.07360; version 1.1 is its authors' later one, with smaller pools.
    """
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, ceil_mode=True)),
        *(Fire(64, 16, 64), Fire(128, 16, 64), nn.MaxPool2d(3, stride=2, ceil_mode=True)),
        *(Fire(128, 32, 128), Fire(256, 32, 128), nn.MaxPool2d(3, stride=2, ceil_mode=True)),
        *(Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256)),
        *(nn.Dropout(0.5), nn.Conv2d(512, classes, 1), nn.ReLU(inplace=True)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


class DenseLayer(nn.Module):
    """Add `growth` channels to the input's: normalize, 1x1 convolution, normalize, 3x3 convolution."""

    def __init__(self, into: int, growth: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(into)
        self.conv1 = nn.Conv2d(into, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        new = self.conv1(self.relu(self.norm1(x)))
        return torch.cat([x, self.conv2(self.relu(self.norm2(new)))], dim=1)


def densenet121(*, growth: int = 32, classes: int = 1000) -> nn.Sequential:
    """DenseNet-121, [N, 3, 224, 224] to logits [N, 1000].

    Source: Huang et al. 2016, arXiv:1608.06993, table 1.
    """
    channels = 2 * growth
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)]
    layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)]
    for block, depth in enumerate((6, 12, 24, 16)):
        if block > 0:
            half = nn.Conv2d(channels, channels // 2, 1, bias=False)
            layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), half, nn.AvgPool2d(2)]
            channels //= 2
        for _ in range(depth):
            layers.append(DenseLayer(channels, growth))
            channels += growth
    layers += [nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels, classes))


class ShuffleUnit(nn.Module):
    """Filter half of the channels (all, into a second half, where the image shrinks), then mix the halves."""

    def __init__(self, into: int, out: int, stride: int):
        super().__init__()
        self.splits = stride == 1
        half = out // 2
        self.shortcut = (
            nn.Identity() if self.splits else nn.Sequential(*_depthwise(into, stride), *_pointwise(into, half))
        )
        self.branch = nn.Sequential(
            *_pointwise(half if self.splits else into, half), *_depthwise(half, stride), *_pointwise(half, half)
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, filtered = x.chunk(2, dim=1) if self.splits else (x, x)
        x = torch.cat([self.shortcut(kept), self.branch(filtered)], dim=1)
        return x.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)


def shufflenet_v2(*, classes: int = 1000) -> nn.Sequential:
    """ShuffleNetV2 at width 1, [N, 3, 224, 224] to logits [N, 1000].

    Source: Ma et al. 2018, arXiv:1807.11164, table 5.
    """
    stem = nn.Conv2d(3, 24, 3, stride=2, padding=1, bias=False)
    layers = [stem, nn.BatchNorm2d(24), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)]
    into = 24
    for out, repeats in ((116, 4), (232, 8), (464, 4)):
        layers += [ShuffleUnit(into, out, stride=2), *(ShuffleUnit(out, out, stride=1) for _ in range(repeats - 1))]
        into = out
    return nn.Sequential(
        *layers, *_pointwise(into, 1024), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1024, classes)
    )


def _pointwise(into: int, out: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(into, out, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)


def _depthwise(channels: int, stride: int) -> tuple[nn.Module, ...]:
    conv = nn.Conv2d(channels, channels, 3, stride, padding=1, groups=channels, bias=False)
    return conv, nn.BatchNorm2d(channels)
