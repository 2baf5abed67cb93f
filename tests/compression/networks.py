"""A small network with every kind of layer that cuts distinguish, and data to train it on."""

import torch
from torch import Tensor, nn


class Small(nn.Module):
    """Convolutions (first, depthwise, ordinary), BatchNorm, and two linear layers; [N, 3, 4, 4] to [N, 2]."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.body = nn.Sequential(
            nn.BatchNorm2d(8),
            nn.Conv2d(8, 8, 3, padding=1, groups=8),
            nn.Conv2d(8, 18, 1),
            nn.ReLU(),
        )
        self.hidden = nn.Linear(18 * 16, 12)
        self.out = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(self.body(self.stem(x)).flatten(1)).relu())


def small(seed: int = 0) -> Small:
    torch.manual_seed(seed)
    return Small()


def images(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
