"""Names, suffixes and variants."""

import pytest

from openwork.errors import CalibrationError
from openwork.quantization import STRATEGIES, Scheme, for_onnxruntime_x86, strategy


def test_the_names_are_those_of_the_documents():
    assert STRATEGIES == ("int8", "minmax", "symmetry_max", "scale_shift", "fx8", "fx16", "mixed", "null")


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_suffix_asks_for_integers_and_changes_nothing_else(name):
    plain, integers = strategy(name), strategy(f"{name}_t")
    assert (plain.name, plain.true_integers) == (name, False)
    assert (integers.name, integers.true_integers) == (name, True)
    assert (plain.activations, plain.weights, plain.rounding) == (
        integers.activations,
        integers.weights,
        integers.rounding,
    )


@pytest.mark.parametrize("name", [name for name in STRATEGIES if name != "null"])
def test_weights_are_symmetric_and_of_the_granularity_asked_for(name):
    for granularity, per_channel in [("perlayer", False), ("perchannel", True), (None, name == "int8")]:
        weights = strategy(name, granularity).weights
        assert weights.per_channel == per_channel
        assert weights.signed and weights.scale != "affine"


def test_powers_of_two_round_by_shifts():
    shifting = {name for name in STRATEGIES if strategy(name).rounding == "shift"}
    assert shifting == {"scale_shift", "fx8", "fx16", "mixed"}
    for name in shifting:
        assert strategy(name).activations.scale == strategy(name).weights.scale == "power_of_two"
        assert strategy(name).activations.bits == (16 if name == "fx16" else 8)


def test_bits_can_be_chosen():
    chosen = strategy("int8", weight_bits=4, activation_bits=16)
    assert chosen.weights == Scheme(4, "largest", per_channel=True)
    assert chosen.activations == Scheme(16, "largest")
    assert strategy("minmax", activation_bits=16).activations == Scheme(16, "affine")
    assert strategy("scale_shift", weight_bits=16).weights == Scheme(16, "power_of_two")


def test_null_quantizes_nothing():
    assert strategy("null").activations is strategy("null").weights is None


@pytest.mark.parametrize("name", ["", "int9", "INT8", "_t", "int8_t_t", "fx8_x"])
def test_unknown_names_are_refused(name):
    with pytest.raises(CalibrationError, match="choose from int8, minmax"):
        strategy(name)


@pytest.mark.parametrize("bits", [{"weight_bits": 5}, {"weight_bits": 32}, {"activation_bits": 4}])
def test_impossible_bits_are_refused(bits):
    with pytest.raises(CalibrationError, match="bits: not possible here"):
        strategy("int8", **bits)


def test_mixed_chooses_bits_itself():
    with pytest.raises(CalibrationError, match="chooses the bits of each layer itself"):
        strategy("mixed", weight_bits=8)


def test_weights_of_7_bits_are_for_8_bit_kernels():
    assert for_onnxruntime_x86(strategy("int8")).weights == Scheme(8, "largest", per_channel=True, headroom=1)
    assert for_onnxruntime_x86(strategy("null")) == strategy("null")
    for other in (strategy("fx16"), strategy("mixed"), strategy("int8", weight_bits=4)):
        with pytest.raises(CalibrationError, match="8 bits"):
            for_onnxruntime_x86(other)
