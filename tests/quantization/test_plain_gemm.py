"""Plain Gemms against the ones they stand for, in onnxruntime."""

import numpy as np
import pytest

from openwork.graph import evaluate
from openwork.quantization.plain_gemm import with_plain_gemms
from tests.quantization.networks import batches, network


@pytest.mark.parametrize(
    "attributes", ["alpha=0.5", "beta=2.0", "transA=1", "alpha=0.0", "alpha=-3.0, beta=0.25, transA=1"]
)
@pytest.mark.parametrize("bias", [(), (5,), (1, 5), (1,)])
def test_the_same_is_computed(attributes, bias):
    rng = np.random.default_rng(0)
    shape = "[8,4]" if "transA" in attributes else "[4,8]"
    weights = {"w": rng.standard_normal((8, 5)).astype(np.float32)}
    if bias:
        weights["b"] = rng.standard_normal(bias).astype(np.float32)
    text = f"(float{shape} x) => (float[4,5] y) {{ y = Gemm<{attributes}>(x, {', '.join(weights)}) }}"
    model = network(text, **weights)
    plain = with_plain_gemms(model)
    gemm = next(node for node in plain.graph if node.op_type == "Gemm")
    assert not gemm.attributes.keys() & {"alpha", "beta", "transA"}
    (batch,) = batches(model, 1)
    np.testing.assert_allclose(evaluate(plain, batch)["y"], evaluate(model, batch)["y"], atol=1e-5)


def test_weights_that_others_read_are_left_alone():
    model = network(
        "(float[4,5] x) => (float[4,5] y) { a = Gemm<alpha=0.5>(x, w)  y = MatMul(a, w) }",
        w=np.random.default_rng(0).standard_normal((5, 5)).astype(np.float32),
    )
    (batch,) = batches(model, 1)
    np.testing.assert_allclose(evaluate(with_plain_gemms(model), batch)["y"], evaluate(model, batch)["y"], atol=1e-5)


def test_gemms_of_two_activations_stay_as_they_are():
    model = network("(float[4,4] x) => (float[4,4] y) { y = Gemm<alpha=0.5>(x, x) }")
    (node,) = with_plain_gemms(model).graph
    assert node.attributes.get_float("alpha") == 0.5
