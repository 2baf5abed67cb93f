import pytest
from hypothesis import given

from openwork.errors import PatternError
from openwork.sparsity import NM, Block, Pattern, Unstructured, parse_pattern
from openwork.sparsity.patterns import tile_shape
from tests.sparsity.strategies import patterns


@pytest.mark.parametrize(
    ("text", "pattern"),
    [
        ("unstructured", Unstructured()),
        ("2:4", NM(2, 4)),
        ("1x4", Block((1, 4, 1, 1))),
        ("4x1", Block((4, 1, 1, 1))),
        ("1x1x1x3", Block((1, 1, 1, 3))),
        ("1x1", Block((1, 1, 1, 1))),
    ],
)
def test_names_of_patterns(text: str, pattern: Pattern) -> None:
    assert parse_pattern(text) == pattern
    assert str(pattern) == text


@given(patterns)
def test_every_pattern_is_parsed_from_its_name(pattern: Pattern) -> None:
    assert parse_pattern(str(pattern)) == pattern


@pytest.mark.parametrize("text", ["", "dense", "4", "1x", "0x4", "1x1x1x1x2", "4:4", "0:4", "2:4:8", "-1x4", "1x4 "])
def test_other_texts_are_refused_by_name(text: str) -> None:
    with pytest.raises(PatternError, match=r"^(pattern|block) "):
        parse_pattern(text)


def test_a_tile_has_as_many_axes_as_the_weight() -> None:
    assert tile_shape(Unstructured(), 3) == (1, 1, 1)
    assert tile_shape(NM(2, 4), 2) == (1, 4)
    assert tile_shape(Block((4, 1, 1, 1)), 2) == (4, 1)
    assert tile_shape(Block((1, 4, 1, 1)), 5) == (1, 4, 1, 1, 1)
    with pytest.raises(PatternError, match="1x1x1x3: needs more axes than the weight's 2"):
        tile_shape(Block((1, 1, 1, 3)), 2)
