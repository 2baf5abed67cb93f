"""One-shot detectors up to their raw heads: what decodes boxes and drops duplicates stays outside the network.

Neither family has a paper; layers, widths and repeats are those that Ultralytics publishes for YOLOv5 6.0 and
YOLOv8, small and nano. Class and module names are our own.
"""

import torch
from torch import Tensor, nn

CLASSES = 80
# Boxes that YOLOv5 predicts at each place, and what it says of each: position, size, whether there is an object.
ANCHORS = 3
BOX = 5
# YOLOv8 predicts the distance to each of four sides as a distribution over this many bins.
BINS = 16


class Conv(nn.Module):
    """Convolution, BatchNorm, SiLU."""

    def __init__(self, into: int, out: int, kernel: int = 1, stride: int = 1, padding: int | None = None):
        super().__init__()
        padding = kernel // 2 if padding is None else padding
        self.conv = nn.Conv2d(into, out, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Residual(nn.Module):
    """Two convolutions, of `first` x `first` and 3x3, and, if asked for, the input added."""

    def __init__(self, channels: int, first: int, adds: bool):
        super().__init__()
        self.conv1 = Conv(channels, channels, first)
        self.conv2 = Conv(channels, channels, 3)
        self.adds = adds

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return x + y if self.adds else y


class C3(nn.Module):
    """Two branches of half the channels, one through residuals, joined by a third convolution (YOLOv5)."""

    def __init__(self, into: int, out: int, repeats: int = 1, adds: bool = False):
        super().__init__()
        half = out // 2
        self.conv1 = Conv(into, half)
        self.conv2 = Conv(into, half)
        self.conv3 = Conv(2 * half, out)
        self.residuals = nn.Sequential(*(Residual(half, 1, adds) for _ in range(repeats)))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(torch.cat([self.residuals(self.conv1(x)), self.conv2(x)], dim=1))


class C2f(nn.Module):
    """Half of the channels pass through residuals, and the result of each is kept (YOLOv8)."""

    def __init__(self, into: int, out: int, repeats: int = 1, adds: bool = False):
        super().__init__()
        half = out // 2
        self.conv1 = Conv(into, 2 * half)
        self.conv2 = Conv((2 + repeats) * half, out)
        self.residuals = nn.ModuleList(Residual(half, 3, adds) for _ in range(repeats))

    def forward(self, x: Tensor) -> Tensor:
        kept = list(self.conv1(x).chunk(2, dim=1))
        for residual in self.residuals:
            kept.append(residual(kept[-1]))
        return self.conv2(torch.cat(kept, dim=1))


class SpatialPyramid(nn.Module):
    """Maxima over windows of 5, 9 and 13 pixels beside the input (SPPF)."""

    def __init__(self, channels: int):
        super().__init__()
        half = channels // 2
        self.conv1 = Conv(channels, half)
        self.conv2 = Conv(4 * half, channels)
        self.pool = nn.MaxPool2d(5, stride=1, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        windows = [self.conv1(x)]
        for _ in range(3):
            windows.append(self.pool(windows[-1]))
        return self.conv2(torch.cat(windows, dim=1))


class YoloV5(nn.Module):
    """Features at strides 8, 16 and 32, mixed from coarse to fine and back, and one convolution for each."""

    def __init__(self, w: int, classes: int):
        super().__init__()
        self.fine = nn.Sequential(
            *(Conv(3, w, 6, 2, padding=2), Conv(w, 2 * w, 3, 2), C3(2 * w, 2 * w, 1, adds=True)),
            *(Conv(2 * w, 4 * w, 3, 2), C3(4 * w, 4 * w, 2, adds=True)),
        )
        self.middle = nn.Sequential(Conv(4 * w, 8 * w, 3, 2), C3(8 * w, 8 * w, 3, adds=True))
        self.coarse = nn.Sequential(
            *(Conv(8 * w, 16 * w, 3, 2), C3(16 * w, 16 * w, 1, adds=True)),
            *(SpatialPyramid(16 * w), Conv(16 * w, 8 * w)),
        )
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.middle_down = nn.Sequential(C3(16 * w, 8 * w), Conv(8 * w, 4 * w))
        self.fine_out = C3(8 * w, 4 * w)
        self.fine_up = Conv(4 * w, 4 * w, 3, 2)
        self.middle_out = C3(8 * w, 8 * w)
        self.middle_up = Conv(8 * w, 8 * w, 3, 2)
        self.coarse_out = C3(16 * w, 16 * w)
        self.heads = nn.ModuleList(nn.Conv2d(into, ANCHORS * (BOX + classes), 1) for into in (4 * w, 8 * w, 16 * w))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        fine = self.fine(x)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = self.middle_down(torch.cat([self.enlarge(coarse), middle], dim=1))
        fine = self.fine_out(torch.cat([self.enlarge(middle), fine], dim=1))
        middle = self.middle_out(torch.cat([self.fine_up(fine), middle], dim=1))
        coarse = self.coarse_out(torch.cat([self.middle_up(middle), coarse], dim=1))
        return tuple(head(scale) for head, scale in zip(self.heads, (fine, middle, coarse), strict=True))


class YoloV8(nn.Module):
    """As YOLOv5, but without anchors: boxes and classes have heads of their own."""

    def __init__(self, w: int, classes: int):
        super().__init__()
        self.fine = nn.Sequential(
            *(Conv(3, w, 3, 2), Conv(w, 2 * w, 3, 2), C2f(2 * w, 2 * w, 1, adds=True)),
            *(Conv(2 * w, 4 * w, 3, 2), C2f(4 * w, 4 * w, 2, adds=True)),
        )
        self.middle = nn.Sequential(Conv(4 * w, 8 * w, 3, 2), C2f(8 * w, 8 * w, 2, adds=True))
        self.coarse = nn.Sequential(
            Conv(8 * w, 16 * w, 3, 2), C2f(16 * w, 16 * w, 1, adds=True), SpatialPyramid(16 * w)
        )
        self.enlarge = nn.Upsample(scale_factor=2.0, mode="nearest")
        self.middle_down = C2f(24 * w, 8 * w)
        self.fine_out = C2f(12 * w, 4 * w)
        self.fine_up = Conv(4 * w, 4 * w, 3, 2)
        self.middle_out = C2f(12 * w, 8 * w)
        self.middle_up = Conv(8 * w, 8 * w, 3, 2)
        self.coarse_out = C2f(24 * w, 16 * w)
        scales = (4 * w, 8 * w, 16 * w)
        self.boxes = nn.ModuleList(_head(into, max(16, w, 4 * BINS), 4 * BINS) for into in scales)
        self.scores = nn.ModuleList(_head(into, max(4 * w, min(classes, 100)), classes) for into in scales)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        fine = self.fine(x)
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        down = self.middle_down(torch.cat([self.enlarge(coarse), middle], dim=1))
        fine = self.fine_out(torch.cat([self.enlarge(down), fine], dim=1))
        middle = self.middle_out(torch.cat([self.fine_up(fine), down], dim=1))
        coarse = self.coarse_out(torch.cat([self.middle_up(middle), coarse], dim=1))
        scales = (fine, middle, coarse)
        boxes = tuple(head(scale) for head, scale in zip(self.boxes, scales, strict=True))
        return *boxes, *(head(scale) for head, scale in zip(self.scores, scales, strict=True))


def yolov5s(*, classes: int = CLASSES) -> YoloV5:
    """YOLOv5s, [N, 3, 640, 640] to three tensors [N, 255, 80 | 40 | 20, same], 85 channels for each anchor."""
    return YoloV5(32, classes)


def yolov8n(*, classes: int = CLASSES) -> YoloV8:
    """YOLOv8n, [N, 3, 640, 640] to boxes [N, 64, 80 | 40 | 20, same] and scores [N, 80, 80 | 40 | 20, same]."""
    return YoloV8(16, classes)


def _head(into: int, width: int, out: int) -> nn.Sequential:
    return nn.Sequential(Conv(into, width, 3), Conv(width, width, 3), nn.Conv2d(width, out, 1))
