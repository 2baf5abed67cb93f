"""Zeros of weights and biases stay zeros under every strategy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.graph import constant
from openwork.quantization import STRATEGIES, calibrate, decided, quantize, strategy
from openwork.quantization.plain_gemm import with_plain_gemms
from openwork.sparsity import NM, Block, find_pattern
from tests.quantization.networks import batches, network

QUANTIZING = [name for name in STRATEGIES if name != "null"]


@st.composite
def sparse_networks(draw):
    """A convolution (grouped, transposed or plain), a Gemm and a MatMul with zeros in weights and biases."""
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    groups = draw(st.sampled_from([1, 2]))
    kernel = draw(st.integers(1, 3))
    operator = draw(st.sampled_from(["Conv", "ConvTranspose"]))
    channels = groups * draw(st.integers(1, 3))
    magnitude = draw(st.sampled_from([1e-30, 1e-3, 1.0, 1e4]))

    def sparse(*shape):
        density = draw(st.sampled_from([0.0, 0.1, 0.5, 0.9]))
        return (magnitude * rng.standard_normal(shape) * (rng.random(shape) < density)).astype(np.float32)

    shape = (channels, 4 // groups) if operator == "Conv" else (4, channels // groups)
    text = f"""(float[2,4,5,5] x) => (float[3,2] z) {{
        a = {operator}<group={groups}>(x, w0, b0)
        r = Relu(a)
        m = GlobalAveragePool(r)
        f = Flatten(m)
        g = Gemm<transB={draw(st.sampled_from([0, 1]))}, alpha={draw(st.sampled_from([1.0, 0.3]))}>(f, w1, b1)
        t = Transpose(g)
        z = MatMul(w2, t)
    }}"""
    wide = (6, channels) if "transB=1" in text else (channels, 6)
    arrays = {
        "w0": sparse(*shape, kernel, kernel),
        "b0": sparse(channels),
        "w1": sparse(*wide),
        "b1": sparse(6),
        "w2": sparse(3, 6),
    }
    return network(text, **arrays)


@pytest.mark.parametrize("name", QUANTIZING)
@pytest.mark.parametrize("granularity", ["perlayer", "perchannel"])
@given(model=sparse_networks(), bits=st.sampled_from([None, 4, 8, 16]))
@settings(deadline=None, max_examples=6)
def test_zeros_stay_zeros(name, granularity, model, bits):
    chosen = strategy(name, granularity, weight_bits=None if name == "mixed" else bits)
    data = batches(model, 2)
    table = calibrate(model, data)
    result = quantize(model, table, decided(chosen, model, table, data))
    before = {node.name: node for node in with_plain_gemms(model).graph}
    layers = [node for node in result.graph if node.op_type in ("Conv", "Gemm", "MatMul")]
    assert len(layers) == 3
    for node in layers:
        pairs = list(zip(before[node.name].inputs, node.inputs, strict=True))
        weights = [(old, new) for old, new in pairs if constant(old) is not None]
        assert len(weights) == len(pairs) - 1
        for old, new in weights:
            real, integers, zero_point = constant(old), *(constant(new.producer().inputs[i]) for i in (0, 2))
            assert integers.shape == real.shape
            assert not integers.astype(np.int64)[real == 0].any()
            assert not zero_point.astype(np.int64).any()


@pytest.mark.parametrize("name", QUANTIZING)
@pytest.mark.parametrize("pattern", [NM(2, 4), Block((4, 1, 1, 1)), Block((1, 4, 1, 1))], ids=str)
def test_patterns_stay_patterns(name, pattern):
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((16, 16, 3, 3)).astype(np.float32)
    if isinstance(pattern, NM):
        weight *= np.tile(np.array([1, 0, 0, 1], np.float32).reshape(1, 4, 1, 1), (16, 4, 3, 3))
    else:
        blocks = [size // step for size, step in zip(weight.shape, pattern.shape, strict=True)]
        weight *= np.kron(rng.random(blocks) < 0.3, np.ones(pattern.shape, np.float32))
    model = network("(float[1,16,5,5] x) => (float[1,16,3,3] y) { y = Conv(x, w) }", w=weight)
    data = batches(model, 1)
    table = calibrate(model, data)
    result = quantize(model, table, decided(strategy(name), model, table, data))
    integers = constant(result.graph.initializers["w_quantized"])
    assert not integers[weight == 0].any()
    assert find_pattern(weight).pattern is not None
