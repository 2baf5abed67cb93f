"""Branches that are lost are named, however small the distance of the whole."""

import numpy as np
import onnx_ir as ir
import pytest

from openwork.quantization import calibrate, quantize
from openwork.quantization.analysis import Watch, analyse, checked
from openwork.quantization.analysis.constant import joined
from tests.quantization.networks import network, residual_network
from tests.quantization.test_sharing import HEAD, data, detector

RNG = np.random.default_rng(0)
INNER = detector(f"{HEAD} y = Conv(z, wc)", "y")  # the convolution reads one scale


def said(model: ir.Model, quantized: ir.Model) -> list[str]:
    return [str(part) for part in checked(model, quantized, data()).constant]


def joined_by_one_scale() -> tuple[ir.Model, ir.Model]:
    """Boxes and scores in one output, in floats and as a tool that knows one scale would have it."""
    head = "boxes = Mul(x, large) scores = Sigmoid(x)"
    floats = f"(float[1,8,5,5] x) => (float[1,16,5,5] y) {{ {head} y = Concat<axis=1>(boxes, scores) }}"
    coded = f"""(float[1,8,5,5] x) => (float[1,16,5,5] y) {{
        {head} f = Concat<axis=1>(boxes, scores) q = QuantizeLinear(f, scale, zero) y = DequantizeLinear(q, scale, zero)
    }}"""
    large = np.float32(640)
    return network(floats, large=large), network(
        coded, large=large, scale=np.float32(640 / 255), zero=np.array(0, np.uint8)
    )


def test_a_dead_input_of_a_concat_is_named_though_the_distance_is_tiny():
    model, quantized = joined_by_one_scale()
    result = checked(model, quantized, data())
    assert result.distances["y"] < 1e-4
    (part,) = result.constant
    assert (part.tensor, part.part, part.value) == ("y", "input 'scores'", 0.0)
    assert 0.5 <= part.low < part.high < 0.74


def test_analyse_grades_by_the_worst_part():
    model, quantized = joined_by_one_scale()
    analysis = analyse(model, quantized, data())
    assert analysis.outputs["y"].grade == "very good" and analysis.final_distance < 1e-4
    assert (analysis.worst.tensor, analysis.worst.part, analysis.worst.error.grade) == ("y", "input 'scores'", "poor")
    (layer,) = [layer for layer in analysis.layers if layer.tensor == "y"]
    assert layer.accumulated.grade == "very good" and layer.worst.grade == "poor"
    assert layer.parts["input 'boxes'"].grade == "very good"


def test_a_branch_inside_is_named_too():
    quantized = quantize(INNER, calibrate(INNER, data()))
    (line,) = said(INNER, quantized)
    assert line.startswith("'z', input 's': always 0 instead of 0.0")
    assert analyse(INNER, quantized, data()).worst.part == "input 's'"


def test_indices_of_an_output_are_named_as_ranges():
    reference = RNG.random((1, 6, 7)).astype(np.float32)
    value = reference.copy()
    value[0, :, 2:5] = 0.5
    value[0, :, 6] = 0.25
    watch = Watch("y", everywhere=True)
    watch.update(reference, value)
    assert [(part.part, part.value) for part in watch.constant()] == [("2 to 4 of axis 2", 0.5), ("6 of axis 2", 0.25)]


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3), (0, 3), (1, 3, 2, 2)])
def test_a_whole_tensor(shape):
    watch = Watch("y", everywhere=True)
    for seed in range(3):
        array = np.random.default_rng(seed).random(shape).astype(np.float32)
        watch.update(array, np.zeros_like(array))
    found = watch.constant()
    assert [(part.part, part.value) for part in found] == ([] if 0 in shape else [(None, 0.0)])


def test_what_the_reference_does_not_vary_is_not_lost():
    watch = Watch("y", everywhere=True)
    watch.update(np.full((2, 3), 300.001, np.float32), np.full((2, 3), 300, np.float32))
    watch.update(np.full((2, 3), 300.002, np.float32), np.full((2, 3), 300, np.float32))
    assert watch.constant() == ()
    model = residual_network()
    rng = np.random.default_rng(0)
    batches = [{"image": rng.standard_normal((1, 3, 16, 16)).astype(np.float32)} for _ in range(3)]
    assert checked(model, quantize(model, calibrate(model, batches)), batches).constant == ()


def test_inputs_of_a_concat_along_another_axis():
    (node,) = network("(float[2,3] x, float[2,4] z) => (float[2,7] y) { y = Concat<axis=-1>(x, z) }").graph
    joins = joined(node)
    assert (joins.axis, joins.names, joins.sizes) == (1, ("x", "z"), (3, 4))
    array = np.arange(14).reshape(2, 7)
    assert [part.shape for _, part in joins.of(array)] == [(2, 3), (2, 4)]
