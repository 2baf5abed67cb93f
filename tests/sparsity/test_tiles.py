import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from openwork.sparsity.tiles import join_tiles, split_tiles, tile_origin

shape_and_tile = st.lists(st.tuples(st.integers(1, 7), st.integers(1, 5)), min_size=1, max_size=4)


def test_tiles_of_a_ragged_matrix() -> None:
    matrix = np.arange(10).reshape(2, 5)
    tiles = split_tiles(matrix, (1, 4), fill=-1)
    assert tiles.tolist() == [[0, 1, 2, 3], [4, -1, -1, -1], [5, 6, 7, 8], [9, -1, -1, -1]]


@given(shape_and_tile)
def test_joining_undoes_splitting(pairs: list[tuple[int, int]]) -> None:
    shape, tile = zip(*pairs, strict=True)
    array = np.arange(np.prod(shape)).reshape(shape)
    tiles = split_tiles(array, tile, fill=-1)
    assert np.array_equal(join_tiles(tiles, tile, shape), array)
    assert all(array[tile_origin(index, tile, shape)] == row[0] for index, row in enumerate(tiles))
