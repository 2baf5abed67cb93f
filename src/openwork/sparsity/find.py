"""Which pattern the zeros of a weight really have."""

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.sparsity.patterns import NM, UNSTRUCTURED, Block, Pattern, tile_shape
from openwork.sparsity.tiles import split_tiles

BLOCK_1X4 = Block((1, 4, 1, 1))
BLOCK_4X1 = Block((4, 1, 1, 1))
TWO_OF_FOUR = NM(2, 4)

# Below this sparsity a weight counts as dense: rounding to int8 alone makes some zeros.
DENSE_BELOW = 0.2
# Blocks are blocks when this share of the weights inside the occupied ones is nonzero, for the same reason.
FULL_FROM = 0.9
# That 2:4 holds says something only if as many zeros, strewn at random, would break it in this many groups.
BROKEN_BY_CHANCE = 10


@dataclass(frozen=True)
class FoundPattern:
    """What the zeros of one weight look like.

    sparsity: fraction of zeros.
    occupied_1x4, occupied_4x1: fraction of the blocks that hold a nonzero weight.
    two_of_four: whether at most 2 of every 4 consecutive input channels are nonzero.
    pattern: the pattern the zeros were most likely cut in, or None for a dense weight.
    """

    sparsity: float
    occupied_1x4: float
    occupied_4x1: float
    two_of_four: bool
    pattern: Pattern | None


def find_pattern(weight: NDArray[np.generic]) -> FoundPattern:
    """Look at the zeros of a weight, [out, in] or [out, in, kernel...], of any number type, not empty.

    Raises: PatternError: the weight has fewer than two axes.
    """
    nonzero = weight != 0
    density = float(nonzero.mean())
    occupied_1x4 = _occupied(nonzero, BLOCK_1X4)
    occupied_4x1 = _occupied(nonzero, BLOCK_4X1)
    two_of_four = bool((_tiles(nonzero, TWO_OF_FOUR).sum(axis=1) <= TWO_OF_FOUR.n).all())
    groups = nonzero.size // nonzero.shape[1] * (nonzero.shape[1] // TWO_OF_FOUR.m)
    chance_of_three_or_four = 4 * density**3 * (1 - density) + density**4

    pattern: Pattern | None = UNSTRUCTURED
    if 1 - density < DENSE_BELOW:
        pattern = None
    elif _has_room(nonzero, BLOCK_1X4) and density >= FULL_FROM * occupied_1x4:
        pattern = BLOCK_1X4
    elif _has_room(nonzero, BLOCK_4X1) and density >= FULL_FROM * occupied_4x1:
        pattern = BLOCK_4X1
    elif two_of_four and groups * chance_of_three_or_four > BROKEN_BY_CHANCE:
        pattern = TWO_OF_FOUR
    return FoundPattern(1 - density, occupied_1x4, occupied_4x1, two_of_four, pattern)


def _occupied(nonzero: NDArray[np.bool_], block: Block) -> float:
    return float(_tiles(nonzero, block).any(axis=1).mean())


def _has_room(nonzero: NDArray[np.bool_], block: Block) -> bool:
    """Whether the block is more than one weight of this array: depthwise weights have no 1x4 blocks."""
    return prod(map(min, nonzero.shape, block.shape)) > 1


def _tiles(nonzero: NDArray[np.bool_], pattern: Pattern) -> NDArray[np.bool_]:
    return split_tiles(nonzero, tile_shape(pattern, nonzero.ndim), False)
