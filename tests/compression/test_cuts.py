import pytest
from torch import nn

from openwork.compression import Cut, choose_cuts
from openwork.errors import ModelError, PatternError
from openwork.sparsity import NM, Unstructured
from tests.compression.networks import small

DEFAULT = Cut(0.9)
OTHER = Cut(0.5, NM(2, 4))
LAST = Cut(0.3)


def test_the_first_convolution_and_depthwise_ones_are_spared() -> None:
    assert choose_cuts(small(), DEFAULT) == {"body.2": DEFAULT, "hidden": DEFAULT, "out": DEFAULT}
    assert DEFAULT.pattern == Unstructured()


def test_a_network_without_convolutions_is_cut_everywhere() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    assert choose_cuts(model, DEFAULT) == {"0": DEFAULT, "1": DEFAULT}


def test_overrides_by_name_and_type_where_the_last_wins() -> None:
    cuts = choose_cuts(small(), DEFAULT, overrides={nn.Linear: OTHER, "out": LAST})
    assert cuts == {"body.2": DEFAULT, "hidden": OTHER, "out": LAST}
    cuts = choose_cuts(small(), DEFAULT, overrides={"out": LAST, nn.Linear: OTHER})
    assert cuts == {"body.2": DEFAULT, "hidden": OTHER, "out": OTHER}


def test_a_spared_layer_is_cut_only_if_its_own_name_is_given() -> None:
    assert "body.1" not in choose_cuts(small(), DEFAULT, overrides={nn.Conv2d: OTHER, "body": OTHER})
    cuts = choose_cuts(small(), DEFAULT, overrides={"stem": OTHER, "body.1": OTHER})
    assert cuts["stem"] == cuts["body.1"] == OTHER


def test_excluded_layers_stay_dense() -> None:
    assert list(choose_cuts(small(), DEFAULT, exclude=["body", "out"])) == ["hidden"]
    assert list(choose_cuts(small(), DEFAULT, overrides={"out": OTHER}, exclude=[nn.Linear])) == ["body.2"]


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan")])
def test_impossible_sparsity(sparsity: float) -> None:
    with pytest.raises(PatternError, match=r"outside \[0, 1\)"):
        Cut(sparsity)


@pytest.mark.parametrize("key", ["bod", "fc", nn.Conv1d])
def test_a_key_that_matches_nothing_is_an_error(key: str | type[nn.Module]) -> None:
    with pytest.raises(ModelError, match=r"matches no layer; choose from stem, body\.1"):
        choose_cuts(small(), DEFAULT, exclude=[key])
