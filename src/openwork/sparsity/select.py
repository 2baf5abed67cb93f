"""The best mask for a score of every weight."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from openwork.errors import PatternError
from openwork.sparsity.mask import Mask
from openwork.sparsity.patterns import NM, Pattern, tile_shape
from openwork.sparsity.tiles import join_tiles, split_tiles

Scores = NDArray[np.floating[Any]]


def best_mask(score: Scores, pattern: Pattern, sparsity: float) -> Mask:
    """The mask of a pattern that drops the weights with the lowest scores; of equals, the first.

    Args:
        score: finite float, the shape of the weight; |w| for magnitude pruning. Not modified.
        sparsity: the wanted fraction of zeros, in [0, 1). Unstructured meets it to the nearest weight. Block
            drops the blocks with the lowest mean, as many as do not exceed it. NM drops m - n of every m at
            least, and more where `sparsity` asks for it.
    Returns: the Mask. No mask of the pattern that keeps as many weights has a higher total score, except
        where blocks differ in size at a ragged edge: there the lowest mean goes first.
    Raises: PatternError: a score is not finite, sparsity is out of range, or the pattern needs more axes.
    """
    if not 0 <= sparsity < 1:
        raise PatternError(f"sparsity {sparsity:g}: lies outside [0, 1); write for example 0.9")
    if not np.isfinite(score).all():
        place = tuple(map(int, np.argwhere(~np.isfinite(score))[0]))
        raise PatternError(f"score of shape {score.shape}: not finite at {place}; repair the weights first")
    tile = tile_shape(pattern, score.ndim)
    drops = round(sparsity * score.size)
    if isinstance(pattern, NM):
        keep = _keep_best_of_groups(score, tile, pattern.n, drops)
    else:
        keep = _keep_best_tiles(score, tile, drops)
    return Mask(keep, pattern)


def _keep_best_tiles(score: Scores, tile: tuple[int, ...], drops: int) -> NDArray[np.bool_]:
    """Drop the tiles with the lowest mean score, `drops` weights at most."""
    scores = split_tiles(score, tile, 0.0)
    sizes = split_tiles(np.ones(score.shape, dtype=bool), tile, False).sum(axis=1)
    order = np.argsort(scores.sum(axis=1) / sizes, kind="stable")
    keep = np.ones(len(order), dtype=bool)
    keep[order[np.cumsum(sizes[order]) <= drops]] = False
    return join_tiles(np.broadcast_to(keep[:, np.newaxis], scores.shape), tile, score.shape)


def _keep_best_of_groups(score: Scores, tile: tuple[int, ...], n: int, drops: int) -> NDArray[np.bool_]:
    """Keep the n best of every tile, then drop the lowest of all until `drops` weights are gone."""
    groups = split_tiles(score, tile, -np.inf)
    keep_groups = np.zeros(groups.shape, dtype=bool)
    np.put_along_axis(keep_groups, np.argsort(-groups, axis=1, kind="stable")[:, :n], True, axis=1)
    keep = join_tiles(keep_groups, tile, score.shape).copy()
    lowest_first = np.argsort(np.where(keep, score, -np.inf), axis=None, kind="stable")
    keep.flat[lowest_first[:drops]] = False
    return keep
