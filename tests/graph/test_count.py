import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.graph import count, evaluate, metadata, total, weight_of
from openwork.passes import canonicalise, infer_shapes
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


@settings(deadline=None, max_examples=20)
@given(
    groups=st.integers(1, 2),
    inner=st.integers(1, 3),
    out=st.integers(1, 3),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 4)),
    stride=st.integers(1, 3),
)
def test_conv_transpose(groups, inner, out, kernel, stride):
    """Every input element is multiplied with every weight of its channel, as the definition scatters it."""
    batch, height, width = 2, 4, 5
    weight = np.ones((inner * groups, out, *kernel), "f")
    weight[0] = 0
    model = graph(
        f"(float[{batch},{inner * groups},{height},{width}] x) => (float[A,B,C,D] y) "
        f"{{ [up] y = ConvTranspose<group={groups}, strides={[stride] * 2}>(x, w) }}",
        w=weight,
    )
    infer_shapes(model)
    (layer,) = count(model)
    by_hand = sum(1 for _ in np.ndindex(batch, inner * groups, height, width) for _ in np.ndindex(out, *kernel))
    assert (layer.operator, layer.macs, layer.weights) == ("ConvTranspose", by_hand, weight.size)
    assert layer.effective_macs == by_hand - by_hand // (inner * groups)


def test_the_pattern_of_a_transposed_convolution_is_one_of_outputs_by_inputs():
    weight = np.kron(np.eye(4), np.ones((4, 1))).astype("f")[:, :, None, None]  # [in 16, out 4]: 1x4 blocks of inputs
    model = graph("(float[1,16,2,2] x) => (float[1,4,2,2] y) { y = ConvTranspose(x, w) }", w=weight)
    infer_shapes(model)
    assert count(model)[0].pattern == Block((1, 4, 1, 1))


@pytest.mark.parametrize(
    ("text", "macs"),
    [
        ("(float[2,3,5,8] q, float[2,3,7,8] k, float[2,3,7,4] v) => (float y) { y = Attention(q, k, v) }", (8 + 4) * 7),
        (
            "(float[2,3,5,8] q, float[2,1,6,8] k, float[2,1,6,4] v, float[2,1,1,8] a, float[2,1,1,4] b) "
            "=> (float y, float p, float r) { y, p, r = Attention(q, k, v, , a, b) }",
            (8 + 4) * 7,
        ),
        (
            "(float[2,5,24] q, float[2,7,8] k, float[2,7,4] v) => (float y) "
            "{ y = Attention<q_num_heads=3, kv_num_heads=1>(q, k, v) }",
            (8 + 4) * 7,
        ),
    ],
    ids=["heads", "grouped, with a past", "heads side by side"],
)
def test_attention(text, macs):
    """Two samples, three heads, five queries: scores and weighted values over seven keys each."""
    model = graph(text, opset=23)
    canonicalise(model)
    (layer,) = count(model)
    assert (layer.operator, layer.macs, layer.effective_macs, layer.weights) == (
        "Attention",
        *[2 * 3 * 5 * macs] * 2,
        0,
    )


def test_what_multiplies_no_sums_counts_nothing():
    model = graph("(float[2,4] x) => (float[2,4] y) { a = Mul(x, x) b = Softmax(a) y = Add(b, x) }")
    assert count(model) == ()


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


def test_zero_points_that_do_not_fit_count_as_none():
    """In a model that is refused for them, of which `inspect` still tells what it can."""
    constants = {"q": np.ones((3, 2), np.int8), "s": np.ones(2, "f"), "z": np.ones(2, np.int8)}
    model = graph(
        "(float[1,2] x) => (float[1,3] y) { w = DequantizeLinear<axis = 0>(q, s, z) y = Gemm<transB = 1>(x, w) }",
        **constants,
    )
    np.testing.assert_array_equal(weight_of(model.graph[1]), constants["q"])
