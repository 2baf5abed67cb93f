from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from openwork.errors import PatternError
from openwork.sparsity import NM, Block, Mask, Pattern, Unstructured, best_mask, parse_pattern
from tests.sparsity.strategies import patterns, scores, sparsities


@pytest.mark.parametrize(
    ("pattern", "sparsity", "kept"),
    [
        ("unstructured", 0.5, "01110001 10000111"),
        ("1x4", 0.5, "11110000 00001111"),
        ("2:4", 0.5, "01101001 10010110"),
        ("2:4", 0.75, "01100000 00000110"),
    ],
)
def test_worked_example(pattern: str, sparsity: float, kept: str) -> None:
    score = np.array([[3, 15, 14, 9, 4, 1, 0, 10], [11, 2, 5, 6, 7, 13, 12, 8]], dtype=np.float32)
    mask = best_mask(score, parse_pattern(pattern), sparsity)
    assert [format_row(row) for row in mask.keep] == kept.split()


def format_row(row: np.ndarray) -> str:
    return "".join(str(int(kept)) for kept in row)


def test_a_last_block_that_is_smaller_counts_by_its_mean() -> None:
    score = np.array([[1, 1, 1, 1, 3, 0, 0, 0, 2]], dtype=np.float32)
    assert format_row(best_mask(score, parse_pattern("1x4"), 0.5).keep[0]) == "111100001"


@given(scores, sparsities)
def test_unstructured_meets_the_sparsity_to_the_nearest_weight(score: np.ndarray, sparsity: float) -> None:
    dropped = np.count_nonzero(~best_mask(score, Unstructured(), sparsity).keep)
    assert abs(dropped - sparsity * score.size) <= 0.5


@given(scores, patterns, sparsities)
def test_sparsity_is_reached_as_promised(score: np.ndarray, pattern: Pattern, sparsity: float) -> None:
    mask = best_mask(score, pattern, sparsity)
    dropped = np.count_nonzero(~mask.keep)
    wanted = round(sparsity * score.size)
    match pattern:
        case NM():
            assert dropped >= wanted
        case Block(shape):
            assert wanted - np.prod(shape) < dropped <= wanted


@given(scores, patterns, sparsities, sparsities)
def test_more_sparsity_keeps_a_subset(score: np.ndarray, pattern: Pattern, one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert not (best_mask(score, pattern, high).keep & ~best_mask(score, pattern, low).keep).any()


small_scores = st_numpy.arrays(np.float32, st.sampled_from([(2, 4), (4, 2)]), elements=st.integers(-3, 9))
small_patterns = st.sampled_from(["unstructured", "1:2", "2:4", "1x2", "2x1"]).map(parse_pattern)


def has_pattern(keep: np.ndarray, pattern: Pattern) -> bool:
    try:
        Mask(keep, pattern)
    except PatternError:
        return False
    return True


@settings(max_examples=60, deadline=None)
@given(small_scores, small_patterns, sparsities)
def test_no_mask_that_keeps_as_many_has_a_higher_score(score: np.ndarray, pattern: Pattern, sparsity: float) -> None:
    best = best_mask(score, pattern, sparsity).keep
    candidates = (np.reshape(bits, score.shape) for bits in product([False, True], repeat=score.size))
    rivals = (keep for keep in candidates if keep.sum() == best.sum() and has_pattern(keep, pattern))
    assert score[best].sum() >= max(score[keep].sum() for keep in rivals)


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_impossible_sparsity(sparsity: float) -> None:
    with pytest.raises(PatternError, match=r"outside \[0, 1\)"):
        best_mask(np.ones((4, 4)), Unstructured(), sparsity)


def test_a_score_that_is_not_finite_is_named() -> None:
    score = np.ones((4, 4))
    score[2, 3] = np.nan
    with pytest.raises(PatternError, match=r"not finite at \(2, 3\)"):
        best_mask(score, NM(2, 4), 0.5)
