"""What one run of the road found: the input of every table, plot and page."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from openwork.deploy import Latency

if TYPE_CHECKING:  # it brings torch along
    from openwork.zoo import Milestone


@dataclass(frozen=True)
class Training:
    """One training run, in the order of its steps."""

    name: str
    points: "tuple[Milestone, ...]"


@dataclass(frozen=True)
class Layer:
    """Weights of one layer, and how many of them are not zero."""

    name: str
    weights: int
    nonzeros: int

    @property
    def sparsity(self) -> float:
        return 1 - self.nonzeros / self.weights


@dataclass(frozen=True)
class Variant:
    """One compiled network, measured next to its peer.

    accuracies: share of held-out images classified correctly, one for each seed.
    file_bytes: of the files that must be shipped to run it.
    latency, peer: seconds for one inference, by openwork and by the best configuration of the peer.
    peer_name: that configuration, for people.
    """

    name: str
    accuracies: tuple[float, ...]
    layers: tuple[Layer, ...]
    file_bytes: int
    latency: Latency
    peer: Latency
    peer_name: str

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return fmean(self.accuracies)

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def nonzeros(self) -> int:
        return sum(layer.nonzeros for layer in self.layers)

    @property
    def sparsity(self) -> float:
        return 1 - self.nonzeros / self.weights

    @property
    def speedup(self) -> float:
        """How many times faster than the peer: the ratio of the medians."""
        return self.peer.median / self.latency.median


@dataclass(frozen=True)
class Results:
    """Everything a report shows.

    facts: how the figures came about (machine, threads, versions), name to text, in the order to be shown.
    """

    title: str
    trainings: tuple[Training, ...]
    variants: tuple[Variant, ...]
    facts: Mapping[str, str]
