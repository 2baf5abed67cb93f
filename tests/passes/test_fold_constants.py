import numpy as np

from openwork.graph import constant, evaluate
from openwork.passes import canonicalise, fold_constants
from tests.graphs import graph, operators


def test_integer_weights_are_not_turned_into_floats():
    model = graph(
        "(float[1,3] x) => (float[1,4] y) { d = DequantizeLinear(q, s) y = MatMul(x, d) }",
        q=np.ones((3, 4), np.int8),
        s=np.float32(0.1),
    )
    fold_constants(model)
    assert operators(model) == ["DequantizeLinear", "MatMul"]


def test_activations_stay_quantized():
    body = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)"
    model = graph(f"(float[1,3] x) => (float[1,3] y) {{ {body} }}", s=np.float32(0.1), z=np.uint8(3))
    assert not fold_constants(model)
    assert operators(model) == ["QuantizeLinear", "DequantizeLinear"]


def test_float_weights_behind_quantize_become_integers_as_onnxruntime_rounds_them():
    weight = (np.arange(-12, 12).reshape(6, 4) * 0.5).astype("f")  # half-way cases at scale 1
    model = graph(
        "(float[1,6] x) => (float[1,4] y) {"
        "q = QuantizeLinear<axis=1>(w, s, z) d = DequantizeLinear<axis=1>(q, s, z) y = MatMul(x, d) }",
        w=weight,
        s=np.float32([1, 1, 0.03, 2]),
        z=np.int8([0, 0, 0, 0]),
    )
    x = np.eye(1, 6, dtype="f")
    expected = evaluate(model, {"x": x}, taps=["q"])
    canonicalise(model)
    assert operators(model) == ["DequantizeLinear", "MatMul"]
    np.testing.assert_array_equal(constant(model.graph[0].inputs[0]), expected["q"])


def test_large_constants_are_folded_too():
    weight = np.ones((300, 400), "f")
    model = graph("(float[1,300] x) => (float[1,400] y) { t = Exp(w) y = MatMul(x, t) }", w=weight)
    fold_constants(model)
    assert operators(model) == ["MatMul"]


def test_a_huge_result_is_not_made():
    model = graph("(float[1] x) => (float[N] y) { z = ConstantOfShape(n) y = Add(x, z) }", n=np.int64([1 << 40]))
    fold_constants(model)
    assert operators(model) == ["ConstantOfShape", "Add"]
