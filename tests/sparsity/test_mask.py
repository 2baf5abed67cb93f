import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from openwork.errors import PatternError
from openwork.sparsity import NM, Block, Mask, Pattern, Unstructured
from tests.sparsity.strategies import patterns, shapes


def test_a_mask_knows_its_sparsity_and_cannot_be_changed() -> None:
    source = np.array([[True, False, False, False]])
    mask = Mask(source, Unstructured())
    source[:] = True
    assert mask.sparsity == 0.75
    with pytest.raises(ValueError, match="read-only"):
        mask.keep[0, 1] = True


def test_the_first_block_kept_in_part_is_named() -> None:
    keep = np.zeros((2, 8, 3, 3), dtype=bool)
    keep[1, 4:8, 2, 0] = True
    Mask(keep, Block((1, 4, 1, 1)))
    keep[1, 6, 2, 0] = False
    with pytest.raises(PatternError, match=re.escape("not 1x4 at (1, 4, 2, 0): the block there is kept in part")):
        Mask(keep, Block((1, 4, 1, 1)))


def test_the_first_group_that_keeps_too_many_is_named() -> None:
    keep = np.array([[1, 1, 0, 0, 0, 1, 1], [0, 1, 0, 1, 1, 1, 1]], dtype=bool)
    with pytest.raises(PatternError, match=re.escape("not 2:4 at (1, 4): the group there keeps more than 2")):
        Mask(keep, NM(2, 4))


def test_only_bool_and_only_something() -> None:
    with pytest.raises(PatternError, match="float64, not bool"):
        Mask(np.ones((2, 2)), Unstructured())  # type: ignore[arg-type]
    with pytest.raises(PatternError, match="is empty"):
        Mask(np.ones((0, 2), dtype=bool), Unstructured())


def has_pattern(keep: np.ndarray, pattern: Pattern) -> bool:
    """The definition of the patterns, one weight at a time."""
    for o, i, y, x in np.ndindex(keep.shape):
        match pattern:
            case NM(n, m):
                start = i - i % m
                if keep[o, start : start + m, y, x].sum() > n:
                    return False
            case Block((a, b, c, d)):
                if keep[o, i, y, x] != keep[o - o % a, i - i % b, y - y % c, x - x % d]:
                    return False
    return True


@given(patterns, shapes, st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_a_mask_exists_exactly_if_the_definition_holds(
    pattern: Pattern, shape: tuple[int, ...], density: float, seed: int
) -> None:
    assume(np.prod(shape) < 300)
    keep = np.random.default_rng(seed).random(shape) < density
    if has_pattern(keep, pattern):
        Mask(keep, pattern)
    else:
        with pytest.raises(PatternError, match=f"not {pattern}"):
            Mask(keep, pattern)
