"""Arrays cut into tiles of one shape, and put together again."""

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray


def split_tiles(array: NDArray[Any], tile: tuple[int, ...], fill: float) -> NDArray[Any]:
    """The tiles of an array, one a row, [tiles, elements of a tile]; `fill` completes ragged tiles."""
    padding = [(0, -length % side) for length, side in zip(array.shape, tile, strict=True)]
    padded = np.pad(array, padding, constant_values=fill)
    grid = _grid(array.shape, tile)
    pairs = [length for pair in zip(grid, tile, strict=True) for length in pair]
    rank = array.ndim
    grid_first = (*range(0, 2 * rank, 2), *range(1, 2 * rank, 2))
    return padded.reshape(pairs).transpose(grid_first).reshape(prod(grid), prod(tile))


def join_tiles(tiles: NDArray[Any], tile: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
    """The inverse of `split_tiles`: the array of `shape`, without what completed ragged tiles."""
    grid = _grid(shape, tile)
    rank = len(shape)
    interleaved = [axis for pair in zip(range(rank), range(rank, 2 * rank), strict=True) for axis in pair]
    padded_shape = [count * side for count, side in zip(grid, tile, strict=True)]
    padded = tiles.reshape(*grid, *tile).transpose(interleaved).reshape(padded_shape)
    return padded[tuple(slice(length) for length in shape)]


def tile_origin(index: int, tile: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The place in the array of the first element of tile `index`."""
    position = np.unravel_index(index, _grid(shape, tile))
    return tuple(int(count) * side for count, side in zip(position, tile, strict=True))


def _grid(shape: tuple[int, ...], tile: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-length // side) for length, side in zip(shape, tile, strict=True))
