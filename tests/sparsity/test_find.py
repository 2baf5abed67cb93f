import numpy as np
import pytest

from openwork.errors import PatternError
from openwork.sparsity import best_mask, find_pattern, parse_pattern


def random_weight(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", ["unstructured", "1x4", "4x1", "2:4"])
@pytest.mark.parametrize("shape", [(128, 128), (30, 70, 3, 3)])
@pytest.mark.parametrize("sparsity", [0.5, 0.9])
def test_what_was_cut_is_found(name: str, shape: tuple[int, ...], sparsity: float) -> None:
    weight = random_weight(*shape)
    pattern = parse_pattern(name)
    weight[~best_mask(np.abs(weight), pattern, sparsity).keep] = 0
    found = find_pattern(weight)
    assert found.pattern == pattern
    assert found.sparsity == pytest.approx(sparsity, abs=0.01)


def test_worked_example() -> None:
    weight = np.zeros((4, 8), dtype=np.int8)
    weight[0, :4] = 1
    weight[3, 6] = -1
    found = find_pattern(weight)
    assert found.sparsity == 1 - 5 / 32
    assert found.occupied_1x4 == 2 / 8
    assert found.occupied_4x1 == 5 / 8
    assert not found.two_of_four


def test_blocks_are_found_although_int8_made_more_zeros() -> None:
    weight = random_weight(64, 64)
    mask = best_mask(np.abs(weight), parse_pattern("1x4"), 0.9)
    weight[~mask.keep] = 0
    found = find_pattern(np.rint(weight * 10).astype(np.int8))
    assert found.sparsity > mask.sparsity
    assert found.pattern == parse_pattern("1x4")


@pytest.mark.parametrize("shape", [(16, 16), (16, 1, 3, 3)])
def test_few_zeros_are_no_pattern(shape: tuple[int, ...]) -> None:
    weight = random_weight(*shape)
    weight.flat[::10] = 0
    assert find_pattern(weight).pattern is None


def test_depthwise_weights_have_neither_1x4_blocks_nor_groups_of_four() -> None:
    weight = random_weight(32, 1, 3, 3)
    weight[~best_mask(np.abs(weight), parse_pattern("unstructured"), 0.5).keep] = 0
    assert find_pattern(weight).pattern == parse_pattern("unstructured")


def test_a_small_weight_that_is_2_of_4_by_chance_is_unstructured() -> None:
    weight = np.eye(16)
    found = find_pattern(weight)
    assert found.two_of_four
    assert found.pattern == parse_pattern("unstructured")


def test_a_vector_is_no_weight() -> None:
    with pytest.raises(PatternError, match="needs more axes"):
        find_pattern(np.ones(4))
