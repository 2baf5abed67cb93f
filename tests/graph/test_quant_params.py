import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.graph import QuantParams, evaluate
from tests.graphs import graph


def onnxruntime_round_trip(real, params):
    axis = "" if params.axis is None else f"<axis={params.axis}>"
    scale = params.scale.reshape(()) if params.axis is None else params.scale
    zero = params.zero_point.astype(params.dtype)
    shape = ",".join(map(str, real.shape))
    model = graph(
        f"(float[{shape}] x) => (float[{shape}] y) {{ q = QuantizeLinear{axis}(x, s, z)"
        f"y = DequantizeLinear{axis}(q, s, z) }}",
        opset=21,
        s=scale,
        z=zero.reshape(()) if params.axis is None else zero,
    )
    result = evaluate(model, {"x": real}, taps=["q"])
    return result["q"], result["y"]


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 999),
    axis=st.sampled_from([None, 0, 1]),
    signed=st.booleans(),
    bits=st.sampled_from([8, 16]),
)
def test_rounds_and_clips_as_onnxruntime_does(seed, axis, signed, bits):
    random = np.random.default_rng(seed)
    real = (random.normal(size=(3, 4)) * 100).astype("f")
    channels = 1 if axis is None else real.shape[axis]
    low = -(1 << (bits - 1)) if signed else 0
    zero_point = random.integers(low, low + (1 << bits), channels).astype(np.int32)
    params = QuantParams(random.uniform(0.01, 1, channels).astype("f"), zero_point, axis, bits, signed)
    integers, back = onnxruntime_round_trip(real, params)
    assert (params.low, params.high) == (np.iinfo(params.dtype).min, np.iinfo(params.dtype).max)
    np.testing.assert_array_equal(params.quantize(real), integers)
    np.testing.assert_array_equal(params.dequantize(integers), back)


@pytest.mark.parametrize(("signed", "low", "high"), [(True, -8, 7), (False, 0, 15)])
def test_four_bits_live_in_a_byte(signed, low, high):
    params = QuantParams(np.float32([1]), np.int32([0]), bits=4, signed=signed)
    assert (params.low, params.high, np.dtype(params.dtype).itemsize) == (low, high, 1)
    np.testing.assert_array_equal(params.quantize(np.float32([-100, 0.5, 1.5, 100])), [low, 0, 2, high])
