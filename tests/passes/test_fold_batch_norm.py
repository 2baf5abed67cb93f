import numpy as np
import pytest

from openwork.graph import constant, evaluate
from openwork.passes import fold_batch_norm, infer_shapes
from tests.graphs import graph, operators

RANDOM = np.random.default_rng(0)
NORM = {
    "s": RANDOM.normal(size=4).astype("f"),
    "t": RANDOM.normal(size=4).astype("f"),
    "m": RANDOM.normal(size=4).astype("f"),
    "v": RANDOM.uniform(0.1, 2, 4).astype("f"),
}
CONV = RANDOM.normal(size=(4, 3, 3, 3)).astype("f")
DENSE = RANDOM.normal(size=(3, 4)).astype("f")
BIAS = RANDOM.normal(size=4).astype("f")


def check_folded(model, x):
    expected = evaluate(model, {"x": x})["y"]
    assert fold_batch_norm(model)
    assert "BatchNormalization" not in operators(model)
    np.testing.assert_allclose(evaluate(model, {"x": x})["y"], expected, rtol=1e-4, atol=1e-5)
    assert not fold_batch_norm(model)


@pytest.mark.parametrize("bias", [{}, {"b": BIAS}])
def test_conv(bias):
    conv = ", ".join(["x", "w", *bias])
    model = graph(
        f"(float[1,3,5,5] x) => (float[1,4,3,3] y) {{ c = Conv({conv})"
        "y = BatchNormalization<epsilon=0.01>(c, s, t, m, v) }",
        w=CONV,
        **bias,
        **NORM,
    )
    check_folded(model, RANDOM.normal(size=(1, 3, 5, 5)).astype("f"))


@pytest.mark.parametrize("transposed", [0, 1])
@pytest.mark.parametrize("bias", [BIAS, BIAS[None], BIAS[:1]])
def test_gemm(transposed, bias):
    model = graph(
        f"(float[2,3] x) => (float[2,4] y) {{ g = Gemm<alpha=0.5, beta=3.0, transB={transposed}>(x, w, b)"
        "y = BatchNormalization(g, s, t, m, v) }",
        w=DENSE.T.copy() if transposed else DENSE,
        b=bias,
        **NORM,
    )
    check_folded(model, RANDOM.normal(size=(2, 3)).astype("f"))


def test_worked_example_in_float64_rounded_once():
    model = graph(
        "(float[1,1,1,1] x) => (float[1,1,1,1] y) { c = Conv(x, w)y = BatchNormalization<epsilon=1.0>(c, s, t, m, v) }",
        w=np.float32([[[[3]]]]),
        s=np.float32([4]),
        t=np.float32([5]),
        m=np.float32([7]),
        v=np.float32([3]),
    )
    fold_batch_norm(model)
    conv = model.graph[0]
    assert constant(conv.inputs[1]) == 3 * 4 / 2
    assert constant(conv.inputs[2]) == (0 - 7) * 4 / 2 + 5


def test_zeros_stay_and_names_are_those_of_the_layer():
    sparse = np.where(RANDOM.random(CONV.shape) < 0.9, 0, CONV).astype("f")
    model = graph(
        "(float[1,3,5,5] x) => (float[1,4,3,3] y) { c = Conv(x, w)n = BatchNormalization(c, s, t, m, v) y = Relu(n) }",
        w=sparse,
        **NORM,
    )
    model.graph.initializers["w"].name = "layer1.conv.weight"
    fold_batch_norm(model)
    conv = model.graph[0]
    assert [value.name for value in conv.inputs] == ["x", "layer1.conv.weight", "layer1.conv.bias"]
    assert conv.outputs[0].name == "n"
    np.testing.assert_array_equal(constant(conv.inputs[1]) == 0, sparse == 0)


def test_a_shared_weight_is_folded_for_each_reader_on_its_own():
    model = graph(
        "(float[1,3,5,5] x) => (float[1,4,3,3] y) { c = Conv(x, w) n = BatchNormalization(c, s, t, m, v)"
        "d = Conv(x, w) y = Add(n, d) }",
        w=CONV,
        **NORM,
    )
    check_folded(model, RANDOM.normal(size=(1, 3, 5, 5)).astype("f"))
    np.testing.assert_array_equal(constant(model.graph[1].inputs[1]), CONV)


@pytest.mark.parametrize(
    "body",
    [
        "c = Relu(x) y = BatchNormalization(c, s, t, m, v)",
        "c = Conv(x, w) n = BatchNormalization(c, s, t, m, v) y = Add(c, n)",
        "c = Conv(x, w) y, _m, _v = BatchNormalization<training_mode=1>(c, s, t, m, v)",
        "e = Exp(s) c = Conv(x, w) y = BatchNormalization(c, e, t, m, v)",
        "e = Exp(w) c = Conv(x, e) y = BatchNormalization(c, s, t, m, v)",
    ],
    ids=["no layer", "read twice", "training", "computed scale", "computed weight"],
)
def test_left_alone(body):
    model = graph(f"(float[1,4,5,5] x) => (float[1,4,5,5] y) {{ {body} }}", w=np.ones((4, 4, 1, 1), "f"), **NORM)
    infer_shapes(model)
    assert not fold_batch_norm(model)


def test_a_conv_that_is_an_output_is_left_alone():
    model = graph(
        "(float[1,3,5,5] x) => (float[1,4,3,3] c, float[1,4,3,3] y) { c = Conv(x, w)"
        "y = BatchNormalization(c, s, t, m, v) }",
        w=CONV,
        **NORM,
    )
    assert not fold_batch_norm(model)
