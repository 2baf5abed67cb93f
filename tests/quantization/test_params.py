"""Scales and zero points: what integers must be able to say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from openwork.errors import CalibrationError
from openwork.quantization.params import activation_params, bias_integers, weight_params

FINITE = st.floats(-(2.0**120), 2.0**120, width=32)


@given(st.tuples(FINITE, FINITE).map(sorted).map(tuple))
@settings(deadline=None, max_examples=300)
def test_activations_represent_zero_exactly_and_their_range_to_one_step(observed):
    params = activation_params(observed)
    zero = np.zeros(1, np.float32)
    assert params.dequantize(params.quantize(zero)) == zero
    assert np.isfinite(params.scale).all() and (params.scale > 0).all()
    assert params.dtype == "uint8"
    ends = np.asarray(observed, np.float32)
    error = np.abs(params.dequantize(params.quantize(ends)).astype(np.float64) - ends)
    assert (error <= 1.01 * params.scale).all()


def test_activation_range_is_used_fully():
    params = activation_params((-1.0, 3.0))
    assert params.quantize(np.array([-1, 0, 3], np.float32)).tolist() == [0, 64, 255]
    assert activation_params((2.0, 5.1)).scale == np.float32(5.1 / 255)


def test_a_tensor_that_is_never_activated_has_scale_one():
    params = activation_params((0.0, 0.0))
    assert (params.scale.item(), params.zero_point.item()) == (1.0, 0)


@pytest.mark.parametrize("observed", [(float("nan"), 1.0), (0.0, float("inf")), (1.0, -1.0)])
def test_impossible_ranges_are_refused(observed):
    with pytest.raises(CalibrationError, match="range"):
        activation_params(observed)


@given(
    hnp.arrays(np.float32, (3, 2, 2), elements=st.one_of(st.just(0.0), st.floats(-(2.0**20), 2.0**20, width=32))),
    st.sampled_from([0, 1, 2]),
)
@settings(deadline=None, max_examples=100)
def test_weights_keep_zeros_and_use_all_seven_bits(weight, axis):
    params = weight_params(weight, axis, None, np.float32(1))
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
    scale = weight_params(weight, 0, bias, np.float32(input_scale)).scale * np.float32(input_scale)
    integers = bias_integers(bias, scale)
    assert (np.abs(integers.astype(np.int64)) <= 2**30 + 2**7).all()
    assert (np.abs(integers * scale.astype(np.float64) - bias) <= np.maximum(scale, 1e-6 * np.abs(bias))).all()
