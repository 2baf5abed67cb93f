"""MobileNets. Parameter names of the second and third are torchvision's."""

from torch import Tensor, nn

# Version 1: channels out, stride.
V1_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *((512, 1),) * 5,
    (1024, 2),
    (1024, 1),
)
# Version 2: expansion of the width inside a block, channels out, blocks, stride of the first.
V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# Version 3 (large): kernel, width inside, channels out, squeezes and excites, activation, stride.
V3_BLOCKS = (
    (3, 16, 16, False, nn.ReLU, 1),
    (3, 64, 24, False, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 1),
    (5, 72, 40, True, nn.ReLU, 2),
    (5, 120, 40, True, nn.ReLU, 1),
    (5, 120, 40, True, nn.ReLU, 1),
    (3, 240, 80, False, nn.Hardswish, 2),
    (3, 200, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 480, 112, True, nn.Hardswish, 1),
    (3, 672, 112, True, nn.Hardswish, 1),
    (5, 672, 160, True, nn.Hardswish, 2),
    (5, 960, 160, True, nn.Hardswish, 1),
    (5, 960, 160, True, nn.Hardswish, 1),
)

Activation = type[nn.ReLU] | type[nn.ReLU6] | type[nn.Hardswish]


class InvertedResidual(nn.Module):
    """Widen (1x1), filter each channel (3x3 depthwise), narrow (1x1, linear); add the input where it fits."""

    def __init__(self, into: int, out: int, stride: int, expansion: int):
        super().__init__()
        wide = into * expansion
        widen = [_conv_bn(into, wide, nn.ReLU6, kernel=1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *widen,
            _conv_bn(wide, wide, nn.ReLU6, kernel=3, stride=stride, groups=wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.has_shortcut = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class SqueezeExcitation(nn.Module):
    """Scale each channel by a function of the means of all channels."""

    def __init__(self, channels: int, squeezed: int):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.relu = nn.ReLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.scale = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale(self.fc2(self.relu(self.fc1(self.avgpool(x)))))


class ExcitedResidual(nn.Module):
    """An inverted residual of version 3: widen, filter, excite, narrow; add the input where it fits."""

    def __init__(self, into: int, kernel: int, wide: int, out: int, excites: bool, activation: Activation, stride: int):
        super().__init__()
        widen = [_conv_bn(into, wide, activation, kernel=1)] if wide != into else []
        excite = [SqueezeExcitation(wide, _multiple_of_8(wide / 4))] if excites else []
        self.block = nn.Sequential(
            *widen,
            _conv_bn(wide, wide, activation, kernel=kernel, stride=stride, groups=wide),
            *excite,
            nn.Sequential(nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out)),
        )
        self.has_shortcut = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.block(x) if self.has_shortcut else self.block(x)


class MobileNet(nn.Module):
    """Convolutions, the mean of each channel, and a classifier."""

    def __init__(self, features: nn.Module, classifier: nn.Module):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = classifier

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.avgpool(self.features(x))))


def mobilenet_v1(*, classes: int = 1000) -> MobileNet:
    """MobileNetV1 at width 1, [N, 3, 224, 224] to logits [N, 1000].

    Source: Howard et al. 2017, arXiv:1704.04861, table 1.
    """
    features = [_conv_bn(3, 32, nn.ReLU, kernel=3, stride=2)]
    into = 32
    for out, stride in V1_BLOCKS:
        features.append(_conv_bn(into, into, nn.ReLU, kernel=3, stride=stride, groups=into))
        features.append(_conv_bn(into, out, nn.ReLU, kernel=1))
        into = out
    return MobileNet(nn.Sequential(*features), nn.Linear(into, classes))


def mobilenet_v2(*, classes: int = 1000) -> MobileNet:
    """MobileNetV2 at width 1, [N, 3, 224, 224] to logits [N, 1000].

    Source: Sandler et al. 2018, arXiv:1801.04381, table 2.
    """
    features: list[nn.Module] = [_conv_bn(3, 32, nn.ReLU6, kernel=3, stride=2)]
    into = 32
    for expansion, out, blocks, first_stride in V2_STAGES:
        for index in range(blocks):
            features.append(InvertedResidual(into, out, first_stride if index == 0 else 1, expansion))
            into = out
    features.append(_conv_bn(into, 1280, nn.ReLU6, kernel=1))
    return MobileNet(nn.Sequential(*features), nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes)))


def mobilenet_v3(*, classes: int = 1000) -> MobileNet:
    """MobileNetV3-Large at width 1, [N, 3, 224, 224] to logits [N, 1000].

    Source: Howard et al. 2019, arXiv:1905.02244, table 1.
    """
    features: list[nn.Module] = [_conv_bn(3, 16, nn.Hardswish, kernel=3, stride=2)]
    into = 16
    for kernel, wide, out, excites, activation, stride in V3_BLOCKS:
        features.append(ExcitedResidual(into, kernel, wide, out, excites, activation, stride))
        into = out
    features.append(_conv_bn(into, 960, nn.Hardswish, kernel=1))
    classifier = nn.Sequential(nn.Linear(960, 1280), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(1280, classes))
    return MobileNet(nn.Sequential(*features), classifier)


def _conv_bn(
    into: int, out: int, activation: Activation, *, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        activation(inplace=True),
    )


def _multiple_of_8(channels: float) -> int:
    """The nearest multiple of 8, but at least nine tenths of the channels."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * channels else nearest + 8
