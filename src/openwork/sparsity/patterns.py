"""Where zeros may lie: a closed union of frozen dataclasses.

Weights are [out, in, kernel height, kernel width] (convolution) or [out, in] (fully connected). Every pattern
lays tiles over a weight; at a ragged edge, where a length is no multiple of the tile's, the last is smaller.
"""

import re
from dataclasses import dataclass

from openwork.errors import PatternError


@dataclass(frozen=True)
class Unstructured:
    """Zeros may lie anywhere. Written `unstructured`."""

    def __str__(self) -> str:
        return "unstructured"


@dataclass(frozen=True)
class NM:
    """At most n of every m consecutive input channels are kept, at each output channel and kernel position.

    A last group shorter than m keeps at most n as well. Written `2:4` for NM(2, 4).
    """

    n: int
    m: int

    def __post_init__(self) -> None:
        if not 0 < self.n < self.m:
            raise PatternError(f"pattern {self}: n must lie between 1 and m - 1; write for example 2:4")

    def __str__(self) -> str:
        return f"{self.n}:{self.m}"


@dataclass(frozen=True)
class Block:
    """Blocks of `shape`, laid from the origin without overlap, are kept or dropped as a whole.

    shape: (out, in, kernel height, kernel width); weights with fewer axes use the first ones. Written without
    trailing ones, but for two: `1x4` is Block((1, 4, 1, 1)), `1x1x1x3` is Block((1, 1, 1, 3)).
    """

    shape: tuple[int, int, int, int]

    def __post_init__(self) -> None:
        if len(self.shape) != 4 or min(self.shape) < 1:
            raise PatternError(f"block {self.shape}: needs four positive lengths; write for example (1, 4, 1, 1)")

    def __str__(self) -> str:
        axes = max((axis + 1 for axis, length in enumerate(self.shape) if length > 1), default=2)
        return "x".join(str(length) for length in self.shape[: max(axes, 2)])


Pattern = Unstructured | NM | Block

UNSTRUCTURED = Unstructured()


def parse_pattern(text: str) -> Pattern:
    """The pattern written as `unstructured`, `N:M` (2:4) or block lengths (1x4, 4x1, 1x1x1x3).

    `parse_pattern(str(pattern)) == pattern` for every pattern.

    Raises: PatternError: the text names no pattern.
    """
    if text == "unstructured":
        return UNSTRUCTURED
    if re.fullmatch(r"\d+:\d+", text):
        n, m = map(int, text.split(":"))
        return NM(n, m)
    if re.fullmatch(r"\d+(x\d+){1,3}", text):
        out, into, height, width = (*map(int, text.split("x")), 1, 1)[:4]
        return Block((out, into, height, width))
    raise PatternError(f"pattern {text!r}: unknown; write unstructured, 2:4, 1x4 or 4x1")


def tile_shape(pattern: Pattern, rank: int) -> tuple[int, ...]:
    """The tile of a pattern on a weight with `rank` axes.

    Raises: PatternError: the pattern runs along an axis that the weight does not have.
    """
    match pattern:
        case Unstructured():
            shape: tuple[int, ...] = ()
        case NM(_, m):
            shape = (1, m)
        case Block(lengths):
            shape = lengths
    if any(length > 1 for length in shape[rank:]):
        raise PatternError(f"pattern {pattern}: needs more axes than the weight's {rank}; choose another pattern")
    return (*shape, *(1,) * rank)[:rank]
