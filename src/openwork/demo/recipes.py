"""What the demo makes: three training runs, and the networks compiled from them."""

from collections.abc import Mapping
from dataclasses import dataclass

from openwork.compression import Cut
from openwork.sparsity import parse_pattern

SPARSITY = 0.9

# Every run but the first starts from the weights of the first, and cuts while it goes on.
TRAININGS: Mapping[str, Cut | None] = {
    "dense": None,
    "unstructured": Cut(SPARSITY, parse_pattern("unstructured")),
    "1x4": Cut(SPARSITY, parse_pattern("1x4")),
}


@dataclass(frozen=True)
class Recipe:
    """A network to compile: from which training run, and whether it computes in integers.

    name: for people. file: the name of its ONNX file and artifact.
    """

    name: str
    file: str
    training: str
    integer: bool


RECIPES = (
    Recipe("dense float32", "dense-float32", "dense", integer=False),
    Recipe("dense int8", "dense-int8", "dense", integer=True),
    Recipe("90 % unstructured float32", "unstructured-float32", "unstructured", integer=False),
    Recipe("90 % 1x4 int8", "1x4-int8", "1x4", integer=True),
)
