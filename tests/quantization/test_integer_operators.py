"""What is quantized, and what is quantized alike."""

import numpy as np

from openwork.quantization.integer_operators import alike, observed, weighted
from tests.quantization.networks import network, residual_network


def names(model):
    return [[tensor.name for tensor in group] for group in alike(model.graph)]


def test_residual_network():
    model = residual_network()
    assert names(model) == [
        ["image"],
        ["stem_relu", "pooled"],
        ["left_relu"],
        ["right"],
        ["sum_relu"],
        ["mean", "flat"],
        ["scores"],
    ]
    assert [node.op_type for node in weighted(model.graph)] == ["Conv", "Conv", "Conv", "Gemm"]


def test_only_sources_are_observed():
    model = residual_network()
    assert [observed(group) for group in alike(model.graph)][1] == ["stem_relu"]


def test_concat_joins_all_its_inputs_and_their_chains():
    model = network(
        """(float[1,2,4,4] x, float[1,2,4,4] y) => (float[1,6,4,4] z) {
            a = Relu(x)
            b = MaxPool<kernel_shape=[1,1]>(y)
            z = Concat<axis=1>(a, b, c)
        }""",
        c=np.ones((1, 2, 4, 4), np.float32),
    )
    groups = alike(model.graph)
    assert sorted(name for name in names(model)[1]) == ["a", "b", "c", "y", "z"]
    assert sorted(observed(groups[1])) == ["a", "y"]


def test_moves_between_float_operators_stay_float():
    model = network(
        """(float[1,2,3] x) => (float[1,6] y) {
            a = Softmax<axis=2>(x)
            b = Transpose<perm=[0,2,1]>(a)
            y = Flatten(b)
        }"""
    )
    assert names(model) == []


def test_relu_on_a_tensor_with_other_users_stands_alone():
    model = network(
        """(float[1,2,4,4] x) => (float[1,2,4,4] y) {
            a = Conv<kernel_shape=[1,1]>(x, w)
            b = Relu(a)
            y = Add(a, b)
        }""",
        w=np.ones((2, 2, 1, 1), np.float32),
    )
    assert names(model) == [["x"], ["a"], ["b"], ["y"]]


def test_relu_on_an_output_of_the_graph_stands_alone():
    model = network(
        """(float[1,2,4,4] x) => (float[1,2,4,4] a, float[1,2,4,4] y) {
            a = Conv<kernel_shape=[1,1]>(x, w)
            y = Relu(a)
        }""",
        w=np.ones((2, 2, 1, 1), np.float32),
    )
    assert names(model) == [["x"], ["a"], ["y"]]


def test_products_of_two_activations_and_scaled_gemms_stay_float():
    model = network(
        "(float[2,2] x) => (float[2,2] y) { a = MatMul(x, x) y = Gemm<alpha=0.5>(a, w) }",
        w=np.ones((2, 2), np.float32),
    )
    assert names(model) == []


def test_integer_tensors_are_left_alone():
    model = network("(int64[1,2] x, int64[1,2] y) => (int64[1,2] z) { z = Add(x, y) }")
    assert names(model) == []
