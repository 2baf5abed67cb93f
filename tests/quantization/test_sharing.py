"""Which tensors share a scale: boxes and scores in one tensor keep a scale each."""

import re

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.quantization import calibrate, quantize, strategy
from openwork.quantization.sharing import observed_names, shared
from openwork.quantization.strategies import INT8
from tests.quantization.networks import network, residual_network

RNG = np.random.default_rng(0)
BOXES = 90 + 70 * RNG.random((4, 8, 1, 1)).astype(np.float32)  # results of 200 to 640
SCORES = RNG.standard_normal((6, 8, 1, 1)).astype(np.float32)
WEIGHTS = {
    "wb": BOXES,
    "ws": SCORES,
    "both": np.concatenate([BOXES, SCORES / 20]),
    "wd": RNG.standard_normal((3, 6, 1, 1)).astype(np.float32),
    "wc": RNG.standard_normal((3, 10, 1, 1)).astype(np.float32),
    "wz": RNG.standard_normal((2, 12, 1, 1)).astype(np.float32),
    "ten_scores": RNG.standard_normal((10, 8, 1, 1)).astype(np.float32),
    "sizes": np.float32([640] * 4 + [1] * 6).reshape(1, 10, 1, 1),
    "rows": np.array([1, 25, 10]),
    "parts": np.array([4, 6]),
    "four": np.array([4]),
    "ten": np.array([10]),
    "one": np.array([1]),
    "six": np.arange(4, 10),
    "zero": np.zeros((1, 4, 5, 5), np.float32),
}
HEAD = "b = Conv(x, wb) c = Conv(x, ws) s = Sigmoid(c) z = Concat<axis=1>(b, s)"


def detector(nodes: str, *outputs: str) -> ir.Model:
    types = ", ".join(f"float {name}" for name in outputs)
    used = {name: array for name, array in WEIGHTS.items() if name in re.findall(r"\w+", nodes)}
    return network(f"(float[1,8,5,5] x) => ({types}) {{ {nodes} }}", **used)


def data(count: int = 6) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [{"x": rng.random((1, 8, 5, 5)).astype(np.float32)} for _ in range(count)]


def both_runs(model: ir.Model, name: str = "int8") -> list[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Results of the float network, and of the quantized one according to ONNX; openwork's integers are those.

    onnxruntime with optimisations would quantize weights that are left in floats.
    """
    quantized = quantize(model, calibrate(model, data()), strategy(name))
    program, onnx_says, runs = lower(quantized), ReferenceEvaluator(ir.to_proto(quantized)), []
    for batch in data():
        integers = dict(zip(onnx_says.output_names, onnx_says.run(None, batch), strict=True))
        for output, result in interpreter.run(program, batch).items():
            if name == "int8":
                np.testing.assert_allclose(result, integers[output], rtol=1e-5, atol=1e-5)
        runs.append((evaluate(model, batch), integers))
    return runs


def assert_ordered(scores: np.ndarray, integers: np.ndarray) -> None:
    """What is clearly larger stays larger; and integers are as fine as 8 bits for these scores can be."""
    width = scores.max() - min(scores.min(), 0)
    np.testing.assert_allclose(integers, scores, atol=0.05 * width)
    left, right = scores.ravel()[:, None], scores.ravel()[None]
    clear = left - right > 0.1 * width
    assert clear.any() and (integers.ravel()[:, None] > integers.ravel()[None])[clear].all()


@pytest.mark.parametrize("name", ["int8", "minmax", "symmetry_max", "scale_shift"])
def test_scores_beside_boxes_keep_their_order(name):
    for floats, integers in both_runs(detector(HEAD.replace(" z ", " y "), "y"), name):
        assert np.unique(integers["y"][:, 4:]).size > 20
        assert_ordered(floats["y"][:, 4:], integers["y"][:, 4:])
        np.testing.assert_allclose(integers["y"][:, :4], floats["y"][:, :4], atol=0.03 * floats["y"].max())


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        (f"{HEAD} y = Transpose<perm=[0,2,3,1]>(z)", ["y"]),
        (f"{HEAD} y = Flatten(z)", ["y"]),
        (f"{HEAD} w = Conv(z, wc) y = Transpose<perm=[0,1,3,2]>(z)", ["y", "w"]),
        (f"{HEAD} y = Transpose<perm=[0,1,3,2]>(z) w = Conv(y, wc)", ["y", "w"]),
        (f"{HEAD} u, y = Split<axis=1>(z, parts)", ["u", "y"]),
        (f"{HEAD} t = Transpose<perm=[0,1,3,2]>(z) u, v = Split<axis=1>(t, parts) y = Tanh(v) w = Relu(u)", ["y", "w"]),
        (f"{HEAD} v = Slice(z, four, ten, one) y = Tanh(v)", ["y"]),
        (f"{HEAD} v = Gather<axis=1>(z, six) y = Tanh(v) w = Conv(z, wc)", ["y", "w"]),
        ("z = Conv(x, both) u, v = Split<axis=1>(z, parts) y = Sigmoid(v) w = Relu(u)", ["y", "w"]),
        ("z = Conv(x, both) v = Slice(z, four, ten, one) y = Sigmoid(v) w = Conv(z, wc)", ["y", "w"]),
        (f"{HEAD} y = Concat<axis=1>(zero, z) w = Relu(b)", ["y", "w"]),
        ("b = Conv(x, wb) c = Conv(x, ws) a = Concat<axis=1>(c, x) y = Concat<axis=1>(a, b) w = Relu(b)", ["y", "w"]),
    ],
)
def test_small_parts_survive_wherever_they_go(nodes, outputs):
    """A part by itself is as fine as its own 8 bits; the first output is the one looked at."""
    for floats, integers in both_runs(detector(nodes, *outputs)):
        scores, coded = floats["y"], integers["y"]
        small = np.abs(scores) < 5  # the boxes are 200 and more
        assert np.unique(coded[small]).size > 10
        np.testing.assert_allclose(coded[small], scores[small], atol=0.06 * np.abs(scores[small]).max())
        if "w" in floats:
            np.testing.assert_allclose(integers["w"], floats["w"], atol=0.05 * np.abs(floats["w"]).max())


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    widths=st.lists(st.floats(-3, 4).map(lambda power: 10.0**power), min_size=2, max_size=3),
    transposed=st.booleans(),
)
def test_every_input_of_a_concat_is_as_fine_as_a_sixteenth_of_its_range(widths, transposed):
    names = [f"i{i}" for i in range(len(widths))]
    nodes = " ".join(f"{name} = Conv(x, w{name})" for name in names)
    tail = "z = Concat<axis=1>({}) y = Transpose<perm=[0,1,3,2]>(z)" if transposed else "y = Concat<axis=1>({})"
    weights = {
        f"w{name}": np.full((2, 8, 1, 1), width / 8, np.float32) for name, width in zip(names, widths, strict=True)
    }
    model = network(
        f"(float[1,8,5,5] x) => (float[1,{2 * len(widths)},5,5] y) {{ {nodes} {tail.format(', '.join(names))} }}",
        **weights,
    )
    for floats, integers in both_runs(model):
        for index, width in enumerate(widths):
            part = slice(2 * index, 2 * index + 2)
            error = np.abs(integers["y"][:, part] - floats["y"][:, part]).max()
            assert error <= width / 16, f"part {index} of {widths}"


def test_parts_of_like_ranges_share_one_scale():
    model = detector("b = Conv(x, ws) c = Tanh(b) d = Sigmoid(b) y = Concat<axis=1>(c, d)", "y")
    quantized = quantize(model, calibrate(model, data()))
    concat = next(node for node in quantized.graph if node.op_type == "Concat")
    scales = {value.producer().inputs[1].name for value in concat.inputs}
    assert len(scales) == 1
    assert quantized.graph.outputs[0].producer().op_type == "DequantizeLinear"


def test_a_relu_shares_no_zero_point_with_negative_numbers():
    """onnxruntime then computes its convolution in integers, Relu and all."""
    model = detector("b = Conv(x, ws) a = Relu(b) c = Conv(x, ws) z = Concat<axis=1>(a, c) y = Conv(z, wz)", "y")
    quantized = quantize(model, calibrate(model, data()))
    relu = next(node for node in quantized.graph if node.op_type == "Relu")
    (coding,) = relu.outputs[0].consumers()
    assert coding.inputs[2].const_value.numpy() == 0
    assert [type(step).__name__ for step in lower(quantized).steps].count("Conv") == 3
    for batch in data(2):
        np.testing.assert_array_equal(interpreter.run(lower(quantized), batch)["y"], evaluate(quantized, batch)["y"])


def test_sources_and_parts_are_observed():
    assert observed_names(residual_network().graph)[:2] == ["image", "stem_relu"]
    assert "v" in observed_names(detector(f"{HEAD} v = Slice(z, four, ten, one) y = Tanh(v)", "y").graph)


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Conv(x, both)",
        "z = Conv(x, both) t = Transpose<perm=[0,2,3,1]>(z) y = Reshape(t, rows)",
        "c = Conv(x, ten_scores) s = Sigmoid(c) y = Mul(s, sizes)",
        "z = Conv(x, both) y = Relu(z) w = Conv(y, wc)",
    ],
)
def test_channels_of_an_output_that_differ_widely_are_computed_in_floats(nodes):
    """As the last layer of a detector has them, [N, 85]; what is before and behind stays in integers."""
    model = detector(f"{nodes} v = Conv(x, ws)", "y", *(["w"] if "w =" in nodes else []), "v")
    for floats, integers in both_runs(model):
        small = np.abs(floats["y"]) < 2
        assert np.unique(integers["y"][small]).size > 10
        np.testing.assert_allclose(integers["y"][small], floats["y"][small], atol=0.03)
        np.testing.assert_allclose(integers["v"], floats["v"], atol=0.03 * np.abs(floats["v"]).max())
    quantized = quantize(model, calibrate(model, data()))
    assert sum(node.op_type == "QuantizeLinear" for node in quantized.graph) >= 2


def test_like_channels_are_computed_in_integers():
    model = detector("y = Conv(x, ws)", "y")
    assert calibrate(model, data()).ranges.keys() == {
        *("x", "y"),
        *(f"y [{index} of axis 1]" for index in range(6)),
        *(f"y [{index} of axis 3]" for index in range(5)),
    }
    assert quantize(model, calibrate(model, data())).graph.outputs[0].producer().op_type == "DequantizeLinear"


def test_a_table_without_parts_keeps_them_together():
    """Tables of older versions know the ranges of sources only."""
    model = detector("z = Conv(x, both) v = Slice(z, four, ten, one) y = Sigmoid(v)", "y")
    ranges = dict.fromkeys(("x", "z"), (-1.0, 640.0))
    sharing = shared(model.graph, ranges, INT8.activations)
    assert not sharing.apart and not sharing.reals
