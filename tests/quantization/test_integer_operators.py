"""What is quantized, and what is quantized alike."""

import re

import numpy as np
import pytest

from openwork.quantization.integer_operators import alike, integer_sites, known_range, sources
from tests.quantization.networks import network, residual_network


def names(model):
    return [[tensor.name for tensor in group] for group in alike(integer_sites(model.graph))]


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
    assert [site.node.op_type for site in integer_sites(model.graph) if site.weighted] == [
        "Conv",
        "Conv",
        "Conv",
        "Gemm",
    ]


def test_concat_joins_all_its_inputs_and_their_chains():
    model = network(
        """(float[1,2,4,4] x, float[1,2,4,4] y) => (float[1,6,4,4] z) {
            a = Relu(x)
            b = MaxPool<kernel_shape=[1,1]>(y)
            z = Concat<axis=1>(a, b, c)
        }""",
        c=np.ones((1, 2, 4, 4), np.float32),
    )
    groups = alike(integer_sites(model.graph))
    assert sorted(name for name in names(model)[1]) == ["a", "b", "c", "y", "z"]
    assert sorted(str(tensor.name) for tensor in sources(groups[1])) == ["a", "c", "y"]


def test_moves_between_float_operators_stay_float():
    model = network(
        """(float[1,2,3] x) => (float[1,6] y) {
            a = LogSoftmax<axis=2>(x)
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


def test_products_of_two_activations_compute_and_scaled_gemms_stay_float():
    model = network(
        "(float[2,2] x) => (float[2,2] y) { a = MatMul(x, x) y = Gemm<alpha=0.5>(a, w) }",
        w=np.ones((2, 2), np.float32),
    )
    assert names(model) == [["x"], ["a"]]


def test_a_gate_and_what_it_gates():
    model = network(
        "(float[1,2,4,4] x) => (float[1,2,4,4] y) { a = Conv<kernel_shape=[1,1]>(x, w) b = Sigmoid(a) y = Mul(a, b) }",
        w=np.ones((2, 2, 1, 1), np.float32),
    )
    assert names(model) == [["x"], ["a"], ["b"], ["y"]]
    groups = alike(integer_sites(model.graph))
    assert known_range(groups[2][0]) == (0, 1)


@pytest.mark.parametrize(
    ("nodes", "sites"),
    [
        ("a = Relu(x) b, c = Split<axis=1, num_outputs=2>(a) d = Add(b, c)", ["a", "b", "d"]),
        ("a = Relu(x) b = Gather<axis=1>(a, indices) d = Add(b, b)", ["a", "b", "d"]),
        ("a = Relu(x) b = Slice(a, one, two) d = Add(b, b)", ["a", "b", "d"]),
        ("a = Relu(x) b = Pad(a, pads) d = Add(b, b)", ["a", "b", "d"]),
        ("a = Relu(x) b = Pad(a, pads, zero) d = Add(b, b)", ["a", "b", "d"]),
        ("a = Relu(x) b = Pad(a, pads, half) d = Add(b, b)", ["a", "d"]),
        ('a = Relu(x) b = Resize<mode="nearest">(a, , scales) d = Add(b, b)', ["a", "b", "d"]),
        ('a = Relu(x) b = Resize<mode="linear">(a, , scales) d = Add(b, b)', ["a", "b", "d"]),
        ('a = Relu(x) b = Resize<mode="linear">(a, , cube) d = Add(b, b)', ["a", "d"]),
        ('a = Relu(x) b = Resize<mode="linear", antialias=1>(a, , scales) d = Add(b, b)', ["a", "d"]),
        ('a = Relu(x) b = Resize<mode="cubic">(a, , scales) d = Add(b, b)', ["a", "d"]),
        ("a = Relu(x) b = DepthToSpace<blocksize=2>(a) d = Add(b, b)", ["a", "b", "d"]),
        ("a = Relu(x) b = GlobalMaxPool(a) d = Add(b, b)", ["a", "b", "d"]),
        ("a = Relu(x) b = MatMul(a, a) d = Sub(b, a)", ["a", "b", "d"]),
        ("a = Relu(x) b = Tanh(a) d = Mul(b, a)", ["a", "b", "d"]),
        ("a = Relu(x) b = LayerNormalization(a, scale) d = Mul(b, a)", ["a", "b", "d"]),
        ("a = Relu(x) b = Softmax(a) d = Mul(b, a)", ["a", "b", "d"]),
        ("a = Relu(x) b = Div(a, half) d = Pow(b, half)", ["a"]),
        ("a = Relu(x) b = ReduceMax(a, one) d = Sub(b, a)", ["a", "b", "d"]),
        ("a = Relu(x) b = ReduceSum(a, one) d = Sub(b, a)", ["a", "b", "d"]),
    ],
)
def test_what_runs_in_integers(nodes, sites):
    constants = {
        "indices": np.array([0, 2]),
        "one": np.array([1]),
        "two": np.array([2]),
        "pads": np.array([0, 0, 1, 1, 0, 0, 0, 1]),
        "zero": np.float32(0),
        "half": np.float32(0.5),
        "scales": np.array([1, 1, 2, 2], np.float32),
        "cube": np.array([1, 2, 2, 2], np.float32),
        "scale": np.ones(4, np.float32),
    }
    used = {name: array for name, array in constants.items() if re.search(rf"\b{name}\b", nodes)}
    model = network(f"(float[1,4,4,4] x) => (float d) {{ {nodes} }}", **used)
    assert [site.node.outputs[0].name for site in integer_sites(model.graph)] == sites


def test_masks_stay_float_and_so_does_what_they_are_added_to():
    model = network(
        """(float[1,4,4] x, int64[1,4] m) => (float[1,4,4] y) {
            f = Cast<to=1>(m)
            inverse = Sub(one, f)
            huge = Mul(inverse, lowest)
            mask = Unsqueeze(huge, axis)
            scores = MatMul(x, w)
            masked = Add(scores, mask)
            y = Softmax(masked)
        }""",
        one=np.float32(1),
        lowest=np.float32(np.finfo(np.float32).min),
        axis=np.array([1]),
        w=np.ones((4, 4), np.float32),
    )
    assert [site.node.op_type for site in integer_sites(model.graph)] == ["MatMul"]


@pytest.mark.parametrize("hidden", [-np.inf, -1e9, -10000, -100])
def test_additions_of_constant_masks_stay_float(hidden):
    model = network(
        "(float[4,4] x) => (float[4,4] y) { a = Relu(x) b = Add(a, m) y = Relu(b) }",
        m=np.triu(np.full((4, 4), hidden, np.float32), 1),
    )
    assert [site.node.op_type for site in integer_sites(model.graph)] == ["Relu", "Relu"]


def test_a_norm_in_parts_keeps_its_guard_in_floats():
    model = network(
        """(float[4,8] x) => (float[4,8] y) {
            mean = ReduceMean(x, last)
            centred = Sub(x, mean)
            square = Pow(centred, two)
            variance = ReduceMean(square, last)
            guarded = Add(variance, epsilon)
            deviation = Sqrt(guarded)
            y = Div(centred, deviation)
        }""",
        last=np.array([1]),
        two=np.float32(2),
        epsilon=np.float32(1e-5),
    )
    assert [site.node.outputs[0].name for site in integer_sites(model.graph)] == ["mean", "centred"]


def test_operators_between_float_ones_only_stay_float():
    model = network(
        """(float[1,8] x) => (float[1,8] y) {
            a = LogSoftmax(x)
            b = Mul(a, c)
            d = Exp(b)
            e = Div(d, c)
            f = Exp(e)
            y = LogSoftmax(f)
        }""",
        c=np.full((1, 8), 0.5, np.float32),
    )
    assert [site.node.op_type for site in integer_sites(model.graph)] == ["Mul", "Exp"]


def test_excluded_layers_stay_float_with_their_activation():
    model = residual_network()
    first = next(node for node in model.graph if node.op_type == "Conv")
    sites = integer_sites(model.graph, [first.name])
    assert [site.node.op_type for site in sites] == [
        "MaxPool",
        "Conv",
        "Conv",
        "Add",
        "GlobalAveragePool",
        "Flatten",
        "Gemm",
    ]
    assert sources(alike(sites)[0])[0].name == "stem_relu"


def test_integer_tensors_are_left_alone():
    model = network("(int64[1,2] x, int64[1,2] y) => (int64[1,2] z) { z = Add(x, y) }")
    assert names(model) == []


def test_every_part_of_a_split_runs_in_integers():
    model = network(
        """(float[1,4,6,6] x) => (float[1,4,6,6] y) {
            c = Conv<kernel_shape=[1,1]>(x, w)
            left, right = Split<axis=1, num_outputs=2>(c)
            y = Concat<axis=1>(right, left)
        }""",
        w=np.ones((4, 4, 1, 1), np.float32),
    )
    assert [site.node.op_type for site in integer_sites(model.graph)] == ["Conv", "Split", "Concat"]
