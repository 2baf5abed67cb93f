"""Networks of the MLPerf Tiny benchmark for microcontrollers."""

from itertools import pairwise

from torch import nn


def ds_cnn(*, classes: int = 12) -> nn.Sequential:
    """Keyword spotting: 49 frames of 10 cepstral coefficients, [N, 1, 49, 10], to logits [N, 12].

    Source: Zhang et al. 2017, arXiv:1711.07128; Banbury et al. 2021, arXiv:2106.07597.
    """
    # A 10x4 kernel of stride 2 over 25x5 places: where padding is odd, the extra row lies below.
    stem = [nn.ZeroPad2d((1, 1, 4, 5)), nn.Conv2d(1, 64, (10, 4), stride=2), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    blocks = []
    for _ in range(4):
        blocks += [nn.Conv2d(64, 64, 3, padding=1, groups=64), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
        blocks += [nn.Conv2d(64, 64, 1), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    return nn.Sequential(*stem, *blocks, nn.AvgPool2d((25, 5)), nn.Flatten(), nn.Linear(64, classes))


def autoencoder() -> nn.Sequential:
    """Anomaly detection: 5 frames of 128 mel energies, [N, 640], through 8 numbers back to [N, 640].

    Source: Banbury et al. 2021, arXiv:2106.07597; Koizumi et al. 2020, arXiv:2006.05822.
    """
    widths = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)
    layers: list[nn.Module] = []
    for into, out in pairwise(widths):
        layers += [nn.Linear(into, out), nn.BatchNorm1d(out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], 640))
