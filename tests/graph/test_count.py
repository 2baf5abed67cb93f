import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.graph import count, evaluate, metadata, total, weight_of
from openwork.passes import canonicalise
from openwork.sparsity import Block
from tests.graphs import graph


def dense_macs_by_hand(batch, size, weight, stride, pad, dilation):
    """Walk over every output element, as the definition of a convolution does."""
    out, inner, rows, columns = weight
    reach = dilation * (rows - 1), dilation * (columns - 1)
    total = 0
    for _ in range(batch * out):
        for _ in range(0, size + 2 * pad - reach[0], stride):
            for _ in range(0, size + 2 * pad - reach[1], stride):
                total += inner * rows * columns
    return total


@settings(deadline=None, max_examples=40)
@given(
    batch=st.integers(1, 3),
    groups=st.integers(1, 3),
    inner=st.integers(1, 3),
    out=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.integers(1, 3),
    pad=st.integers(0, 2),
    dilation=st.integers(1, 2),
    seed=st.integers(0, 99),
)
def test_conv(batch, groups, inner, out, kernel, stride, pad, dilation, seed):
    size = 7
    shape = (out * groups, inner, *kernel)
    random = np.random.default_rng(seed)
    weight = np.where(random.random(shape) < 0.5, 0, random.normal(size=shape)).astype("f")
    model = graph(
        f"(float[{batch},{inner * groups},{size},{size}] x) => (float[A,B,C,D] y) {{ [layer] y = Conv<"
        f"group={groups}, strides={[stride] * 2}, pads={[pad] * 4}, dilations={[dilation] * 2}>(x, w) }}",
        w=weight,
    )
    canonicalise(model)
    (layer,) = count(model)
    macs = dense_macs_by_hand(batch, size, shape, stride, pad, dilation)
    nonzeros = np.count_nonzero(weight)
    assert (layer.name, layer.operator, layer.weight_shape) == ("layer", "Conv", shape)
    assert (layer.macs, layer.weights, layer.nonzeros) == (macs, weight.size, nonzeros)
    assert layer.effective_macs * weight.size == macs * nonzeros
    assert layer.sparsity == pytest.approx(1 - nonzeros / weight.size)


@pytest.mark.parametrize(
    ("body", "weight", "macs"),
    [
        ("y = Gemm(a, w)", (3, 4), 2 * 3 * 4),
        ("y = Gemm<transB=1>(a, w)", (4, 3), 2 * 3 * 4),
        ("t = Transpose(a) y = Gemm<transA=1>(t, w)", (3, 4), 2 * 3 * 4),
        ("y = MatMul(a, w)", (3, 4), 2 * 3 * 4),
        ("y = MatMul(w, a)", (5, 2), 5 * 2 * 3),
        ("y = MatMul(b, w)", (3, 4), 6 * 2 * 3 * 4),
        ("y = MatMul(b, w)", (6, 3, 4), 6 * 2 * 3 * 4),
    ],
)
def test_products(body, weight, macs):
    array = np.ones(weight, "f")
    array.reshape(-1)[: array.size // 2] = 0
    model = graph(f"(float[2,3] a, float[6,2,3] b) => (float y) {{ {body} }}", w=array)
    canonicalise(model)
    (layer,) = count(model)
    assert (layer.macs, layer.effective_macs, layer.weight_shape) == (macs, macs // 2, weight)


def test_a_product_of_activations_has_no_weights():
    model = graph("(float[2,3] a, float[3,4] b) => (float[2,4] y) { y = MatMul(a, b) }")
    (layer,) = count(model)
    assert (layer.macs, layer.effective_macs, layer.weights, layer.sparsity) == (24, 24, 0, 0.0)
    assert layer.weight_shape == ()


@pytest.mark.parametrize(
    ("inputs", "axis", "zero_point"),
    [("q, s", 0, 0), ("q, s, z", 0, 1), ("q, c, z", 0, [0, 1]), ("q, c, z", 1, [1, 0, 1])],
)
def test_zeros_of_a_quantized_weight_are_those_of_the_real_one(inputs, axis, zero_point):
    model = graph(
        f"(float[1,2] x) => (float[1,3] y){{ d = DequantizeLinear<axis={axis}>({inputs}) y = MatMul(x, d) }}",
        opset=21,
        q=np.int8([[0, 0, 1], [1, 0, 3]]),
        s=np.float32(0.5),
        c=np.full(np.size(zero_point), 0.5, "f"),
        z=np.int8(zero_point),
    )
    canonicalise(model)
    (layer,) = count(model)
    real = evaluate(model, {"x": np.ones((1, 2), "f")}, taps=["d"])["d"]
    np.testing.assert_array_equal(weight_of(model.graph[1]) == 0, real == 0)
    assert layer.nonzeros == np.count_nonzero(real)


@pytest.mark.parametrize("transposed", [0, 1])
def test_blocks_are_found_along_the_inputs_however_the_weight_lies(transposed):
    weight = np.kron(np.eye(4), np.ones((1, 4))).astype("f")  # [out 4, in 16], 1x4 blocks
    model = graph(
        f"(float[1,16] x) => (float[1,4] y) {{ y = Gemm<transB={transposed}>(x, w) }}",
        w=weight if transposed else weight.T.copy(),
    )
    (layer,) = count(model)
    assert layer.pattern == Block((1, 4, 1, 1))


def test_the_total_is_the_sum_and_goes_into_the_metadata():
    model = graph("(float[2,4] x) => (float[2,4] y) { h = MatMul(x, w) y = MatMul(h, w) }", w=np.eye(4, dtype="f"))
    canonicalise(model)
    sums = total(count(model))
    assert (sums.macs, sums.effective_macs, sums.weights, sums.nonzeros, sums.sparsity) == (64, 16, 32, 8, 0.75)
    assert metadata(model) == {
        "openwork.macs": "64",
        "openwork.effective_macs": "16",
        "openwork.weights": "32",
        "openwork.nonzeros": "8",
        "openwork.sparsity": "0.7500",
    }
    assert total([]).sparsity == 0
