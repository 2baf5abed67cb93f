"""Scales and zero points: what integers must be able to say, and the published formulas."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from openwork.errors import CalibrationError
from openwork.quantization import Scheme, strategy
from openwork.quantization.params import activation_params, bias_integers, weight_integers, weight_params

FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
RANGES = st.tuples(FINITE, FINITE).map(sorted).map(tuple)

UINT8 = Scheme(8, "affine", signed=False)
INT8 = Scheme(8, "largest")
ACTIVATIONS = [
    UINT8,
    *(Scheme(bits, scale) for bits in (8, 16) for scale in ("affine", "largest", "span", "power_of_two")),
]
WEIGHTS = [Scheme(bits, scale) for bits in (4, 8, 16) for scale in ("largest", "span", "power_of_two")]


@pytest.mark.parametrize("scheme", ACTIVATIONS, ids=str)
@given(observed=RANGES)
@settings(deadline=None, max_examples=60)
def test_activations_represent_zero_exactly_and_their_range_to_one_step(scheme, observed):
    params = activation_params(observed, scheme)
    zero = np.zeros(1, np.float32)
    assert params.dequantize(params.quantize(zero)) == zero
    assert np.isfinite(params.scale).all() and (params.scale > 0).all()
    assert params.dtype == f"{'' if scheme.signed else 'u'}int{scheme.bits}"
    ends = np.asarray(observed, np.float32)
    error = np.abs(params.dequantize(params.quantize(ends)).astype(np.float64) - ends)
    # Half a step of the zero point; and what a float32 near the ends cannot tell apart.
    assert (error <= 1.01 * params.scale + 2.0**-22 * np.abs(ends)).all()


def test_activation_range_is_used_fully():
    params = activation_params((-1.0, 3.0), UINT8)
    assert params.quantize(np.array([-1, 0, 3], np.float32)).tolist() == [0, 64, 255]
    assert activation_params((2.0, 5.1), UINT8).scale == np.float32(5.1 / 255)


@given(st.floats(-100, 0, width=32), st.floats(0, 100, width=32))
@settings(deadline=None, max_examples=100)
def test_minmax_is_the_published_formula(low, high):
    """q = (x - min) * 255 / (max - min) - 128, shifted so that zero is a whole number."""
    if high - low < 1e-3:
        return
    params = activation_params((low, high), strategy("minmax").activations)
    x = np.linspace(low, high, 50, dtype=np.float32)
    published = (x.astype(np.float64) - low) * 255 / (high - low) - 128
    assert np.abs(params.quantize(x) - published).max() <= 1.01
    assert params.scale == np.float32((high - low) / 255)


@given(st.floats(-100, 100, width=32), st.floats(-100, 100, width=32))
@settings(deadline=None, max_examples=100)
def test_symmetry_max_is_the_published_formula(one, other):
    """scale = 2 max|x| / 255, clipped at +-127.499 scale, rounded."""
    largest = max(abs(one), abs(other))
    if largest < 1e-3:
        return
    params = activation_params((min(one, other), max(one, other)), strategy("symmetry_max").activations)
    scale = 2 * largest / 255
    assert params.scale == np.float32(scale) and params.zero_point == 0
    x = np.linspace(-1.5 * largest, 1.5 * largest, 101, dtype=np.float32)
    published = np.rint(np.clip(x.astype(np.float64), -127.499 * scale, 127.499 * scale) / scale)
    integers = params.quantize(x).astype(int)
    halfway = np.abs(np.abs(x / scale % 1) - 0.5) < 1e-3
    beyond = x <= -127.499 * scale  # ONNX's integers reach one further there
    assert (integers[~halfway & ~beyond] == published[~halfway & ~beyond]).all()
    assert set(integers[beyond]) <= {-127, -128}
    assert (weight_integers(x, params)[~halfway] == published[~halfway]).all()


@pytest.mark.parametrize(("name", "highest"), [("scale_shift", 127), ("fx8", 127), ("fx16", 32767)])
@given(largest=st.floats(2.0**-40, 2.0**100, width=32))
@settings(deadline=None, max_examples=200)
def test_shifts_are_the_smallest_powers_of_two(name, highest, largest):
    for observed in [(0.0, largest), (-largest, largest / 2)]:
        params = activation_params(observed, strategy(name).activations)
        scale = Fraction(float(params.scale[0]))
        assert scale.numerator & (scale.numerator - 1) == 0 == scale.denominator & (scale.denominator - 1)
        assert highest * scale >= Fraction(largest)
        assert highest * scale / 2 < Fraction(largest)
        assert params.zero_point == 0


@pytest.mark.parametrize("scheme", ACTIVATIONS, ids=str)
def test_a_tensor_that_is_never_activated_has_scale_one(scheme):
    params = activation_params((0.0, 0.0), scheme)
    assert params.scale == 1
    assert params.dequantize(params.quantize(np.zeros(1, np.float32))) == 0


@pytest.mark.parametrize("observed", [(float("nan"), 1.0), (0.0, float("inf")), (1.0, -1.0)])
def test_impossible_ranges_are_refused(observed):
    with pytest.raises(CalibrationError, match="range"):
        activation_params(observed, UINT8)


@pytest.mark.parametrize("scheme", WEIGHTS, ids=str)
@given(
    weight=hnp.arrays(
        np.float32, (3, 2, 2), elements=st.one_of(st.just(0.0), st.floats(-(2.0**20), 2.0**20, width=32))
    ),
    axis=st.sampled_from([0, 1, 2, None]),
    bias=st.none() | hnp.arrays(np.float32, 3, elements=st.floats(-(2.0**20), 2.0**20, width=32)),
)
@settings(deadline=None, max_examples=50)
def test_weights_keep_zeros_and_lie_as_far_below_zero_as_above(scheme, weight, axis, bias):
    bias = bias if axis in (None, 0) else None
    params = weight_params(weight, axis, bias, np.float32(0.1), scheme)
    integers = weight_integers(weight, params).astype(int)
    assert (integers[weight == 0] == 0).all()
    assert (params.scale > 0).all() and not params.zero_point.any()
    assert np.abs(integers).max() <= params.high == 2 ** (scheme.bits - 1) - 1
    assert (integers * np.sign(weight) >= 0).all()
    error = np.abs(params.dequantize(integers) - weight)
    scale = params.scale.reshape([-1 if i == axis else 1 for i in range(3)])
    assert (error <= 0.501 * scale + 2.0**-22 * np.abs(weight)).all()
    if scheme.scale == "power_of_two":
        assert (np.frexp(params.scale)[0] == 0.5).all()


@given(
    hnp.arrays(np.float32, (3, 2, 2), elements=st.one_of(st.just(0.0), st.floats(-(2.0**20), 2.0**20, width=32))),
    st.sampled_from([0, 1, 2]),
)
@settings(deadline=None, max_examples=100)
def test_weights_keep_zeros_and_use_all_seven_bits(weight, axis):
    params = weight_params(weight, axis, None, np.float32(1), INT8)
    integers = params.quantize(weight)
    assert (integers[weight == 0] == 0).all()
    assert (params.scale > 0).all() and not params.zero_point.any()
    others = tuple(i for i in range(3) if i != axis)
    largest = np.abs(integers.astype(int)).max(axis=others)
    representable = np.abs(weight).max(axis=others) > 2.0**-50
    assert (largest[representable] == 127).all()


@pytest.mark.parametrize("magnitude", [0.0, 1e-30, 1e-12, 1.0])
@pytest.mark.parametrize("input_scale", [1e-15, 0.02, 1e6])
def test_bias_keeps_its_precision_even_in_channels_without_weights(magnitude, input_scale):
    weight = np.full((2, 4), magnitude, np.float32)
    bias = np.array([0.3, -70.0], np.float32)
    scale = weight_params(weight, 0, bias, np.float32(input_scale), INT8).scale * np.float32(input_scale)
    integers = bias_integers(bias, scale)
    assert (np.abs(integers.astype(np.int64)) <= 2**30 + 2**7).all()
    assert (np.abs(integers * scale.astype(np.float64) - bias) <= np.maximum(scale, 1e-6 * np.abs(bias))).all()


@given(hnp.arrays(np.float32, (3, 20), elements=st.floats(-10, 10, width=32)), st.sampled_from(["largest", "span"]))
def test_weights_of_7_bits_leave_pairs_of_products_in_16_bits(weight, rule):
    scheme = Scheme(8, rule, per_channel=True, headroom=1)
    params = weight_params(weight, 0, None, np.float32(1), scheme)
    integers = weight_integers(weight, params, 1).astype(int)
    assert (integers[weight == 0] == 0).all()
    assert np.abs(integers).max(initial=0) <= 63
    assert 255 * (np.abs(integers[:, :-1]) + np.abs(integers[:, 1:])).max(initial=0) < 2**15
    np.testing.assert_allclose(params.dequantize(integers.astype(np.int8)), weight, atol=0.51 * params.scale.max())
