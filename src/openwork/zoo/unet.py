"""U-Net."""

import torch
from torch import Tensor, nn


class UNet(nn.Module):
    """Halve the image and double the channels, then back, beside what each size was on the way down."""

    def __init__(self, widths: tuple[int, ...], classes: int):
        super().__init__()
        self.down = nn.ModuleList(_two_convolutions(*pair) for pair in zip((3, *widths), widths, strict=False))
        self.pool = nn.MaxPool2d(2)
        upward = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.enlarge = nn.ModuleList(nn.ConvTranspose2d(into, out, 2, stride=2) for into, out in upward)
        self.up = nn.ModuleList(_two_convolutions(2 * out, out) for _, out in upward)
        self.classifier = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        sizes: list[Tensor] = []
        for stage in self.down:
            x = stage(self.pool(x) if sizes else x)
            sizes.append(x)
        for enlarge, stage, beside in zip(self.enlarge, self.up, sizes[-2::-1], strict=True):
            x = stage(torch.cat([beside, enlarge(x)], dim=1))
        return self.classifier(x)


def unet(*, classes: int = 2) -> UNet:
    """U-Net, [N, 3, 256, 256] to logits of each pixel [N, 2, 256, 256].

    Source: Ronneberger et al. 2015, arXiv:1505.04597, figure 1. Differs: convolutions are padded and
    normalized, as most implementations have them.
    """
    return UNet((64, 128, 256, 512, 1024), classes)


def _two_convolutions(into: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)),
        *(nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)),
    )
