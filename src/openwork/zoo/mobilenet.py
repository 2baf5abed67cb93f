"""MobileNetV2. Parameter names are torchvision's."""

from torch import Tensor, nn

# Expansion of the width inside a block, channels out, blocks, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Widen (1x1), filter each channel (3x3 depthwise), narrow (1x1, linear); add the input where it fits."""

    def __init__(self, into: int, out: int, stride: int, expansion: int):
        super().__init__()
        wide = into * expansion
        widen = [_conv_bn_relu6(into, wide, kernel=1)] if expansion > 1 else []
        self.conv = nn.Sequential(
            *widen,
            _conv_bn_relu6(wide, wide, kernel=3, stride=stride, groups=wide),
            nn.Conv2d(wide, out, 1, bias=False),
            nn.BatchNorm2d(out),
        )
        self.has_shortcut = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.has_shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """A stem, inverted residual blocks, a wide 1x1 convolution and a classifier."""

    def __init__(self, classes: int):
        super().__init__()
        features: list[nn.Module] = [_conv_bn_relu6(3, 32, kernel=3, stride=2)]
        into = 32
        for expansion, out, blocks, first_stride in STAGES:
            for index in range(blocks):
                features.append(InvertedResidual(into, out, first_stride if index == 0 else 1, expansion))
                into = out
        features.append(_conv_bn_relu6(into, 1280, kernel=1))
        self.features = nn.Sequential(*features)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.avgpool(self.features(x))))


def mobilenet_v2(*, classes: int = 1000) -> MobileNetV2:
    """MobileNetV2 at width 1, [N, 3, 224, 224] to logits [N, 1000].

    Source: Sandler et al. 2018, arXiv:1801.04381, table 2.
    """
    return MobileNetV2(classes)


def _conv_bn_relu6(into: int, out: int, *, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(into, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU6(inplace=True),
    )
