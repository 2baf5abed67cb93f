import numpy as np
import pytest

from openwork.graph import constant, evaluate
from openwork.passes import fuse_matmul_add, infer_shapes
from tests.graphs import graph, operators

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(2, 3)).astype("f")
W = RANDOM.normal(size=(3, 4)).astype("f")
B = RANDOM.normal(size=4).astype("f")


@pytest.mark.parametrize("bias", [B, B[None], B[:1], B[0]], ids=lambda bias: str(bias.shape))
@pytest.mark.parametrize("add", ["Add(p, b)", "Add(b, p)"])
def test_fused(bias, add):
    model = graph(f"(float[2,3] x) => (float[2,4] y) {{ p = MatMul(x, w) y = {add} }}", w=W, b=bias)
    infer_shapes(model)
    expected = evaluate(model, {"x": X})["y"]
    assert fuse_matmul_add(model)
    assert operators(model) == ["Gemm"]
    assert constant(model.graph[0].inputs[2]).shape == (4,)
    assert model.graph[0].inputs[1].name == "w" and model.graph[0].outputs[0].name == "y"
    np.testing.assert_allclose(evaluate(model, {"x": X})["y"], expected, rtol=1e-5, atol=1e-6)


def test_a_quantized_weight_stays_quantized():
    model = graph(
        "(float[2,3] x) => (float[2,4] y) { d = DequantizeLinear(q, s) p = MatMul(x, d) y = Add(p, b) }",
        q=np.ones((3, 4), np.int8),
        s=np.float32(0.1),
        b=B,
    )
    infer_shapes(model)
    assert fuse_matmul_add(model)
    assert operators(model) == ["DequantizeLinear", "Gemm"]


@pytest.mark.parametrize(
    ("body", "bias"),
    [
        ("p = MatMul(x, w) y = Add(p, b)", RANDOM.normal(size=(2, 1)).astype("f")),
        ("p = MatMul(x, w) y = Add(p, b)", RANDOM.normal(size=(2, 4)).astype("f")),
        ("p = MatMul(x, w) y = Add(p, b)", RANDOM.normal(size=(1, 1, 4)).astype("f")),
        ("p = MatMul(x, w) r = Relu(p) a = Add(p, b) y = Add(a, r)", B),
        ("p = MatMul(x, w) y = Add(p, p)", B),
        ("p = Gemm(x, w) y = Add(p, b)", B),
    ],
    ids=["by row", "full", "of another rank", "read twice", "with itself", "no MatMul"],
)
def test_left_alone(body, bias):
    model = graph(f"(float[2,3] x) => (float[N,M] y) {{ {body} }}", w=W, b=bias)
    infer_shapes(model)
    assert not fuse_matmul_add(model)


def test_a_batch_of_matrices_is_left_alone():
    model = graph("(float[5,2,3] x) => (float[5,2,4] y) { p = MatMul(x, w) y = Add(p, b) }", w=W, b=B)
    infer_shapes(model)
    assert not fuse_matmul_add(model)
