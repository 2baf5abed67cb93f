"""The choice between 8 and 16 bits, by errors that are measured and ones that are known."""

from dataclasses import replace

import numpy as np
import pytest

from openwork.errors import CalibrationError
from openwork.graph import constant, count, evaluate
from openwork.quantization import calibrate, decided, own_sqnr, quantize, quantized_layers, strategy
from openwork.quantization.mixed import worst_layers
from tests.quantization.networks import batches, network, residual_network


def delicate_network():
    """The weights of the second of three layers span five orders of magnitude, so that 8 bits lose most of them."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((6, 6)).astype(np.float32)
    delicate = np.diag(10.0 ** -np.arange(6)).astype(np.float32)
    return network(
        """(float[4,6] x) => (float[4,6] y) {
            a = MatMul(x, w0)
            b = MatMul(a, w1)
            c = Mul(b, scales)
            y = MatMul(c, w2)
        }""",
        w0=weight,
        w1=delicate,
        w2=weight.T.copy(),
        scales=(10.0 ** np.arange(6)).astype(np.float32),
    )


def fixed():
    """`mixed` with no layer of 16 bits."""
    return replace(strategy("mixed"), wide=frozenset())


def test_own_sqnr_is_that_of_the_layer_alone():
    model = residual_network()
    data = batches(model, 3)
    table = calibrate(model, data)
    found = own_sqnr(model, table, fixed(), data)
    convs = [node for node in model.graph if node.op_type in ("Conv", "Gemm")]
    assert list(found) == [node.name for node in convs]
    # The second convolution by hand: input, weights, bias and output rounded, all else exact.
    quantized = quantize(model, table, fixed())
    constants = {name: constant(value) for name, value in quantized.graph.initializers.items()}

    def coded(x, name):
        scale, zero_point = (float(constants[f"{name}_{part}"]) for part in ("scale", "zero_point"))
        return (np.clip(np.rint(x / scale) + zero_point, -128, 127) - zero_point) * scale

    w, b = (constants[f"{name}_quantized"] * constants[f"{name}_scale"] for name in ("w1", "b1"))
    layer = network(
        """(float[1,16,8,8] x) => (float[1,16,8,8] y) {
            a = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(x, w, b)
            y = Relu(a)
        }""",
        w=w.astype(np.float32),
        b=b.astype(np.float32),
    )
    signal = noise = 0.0
    for batch in data:
        exact = evaluate(model, batch, taps=["pooled", "left_relu"])
        y = coded(evaluate(layer, {"x": coded(exact["pooled"], "stem_relu").astype(np.float32)})["y"], "left_relu")
        signal += np.square(exact["left_relu"].astype(np.float64)).sum()
        noise += np.square(y - exact["left_relu"]).sum()
    assert found[convs[1].name] == pytest.approx(10 * np.log10(signal / noise), abs=0.05)


def test_the_layer_that_suffers_gets_sixteen_bits_and_its_tensors_too():
    model = delicate_network()
    data = batches(model, 4)
    table = calibrate(model, data)
    sqnr = own_sqnr(model, table, fixed(), data)
    worst = min(sqnr, key=sqnr.get)
    chosen = decided(strategy("mixed"), model, table, data, least_sqnr=sqnr[worst] + 0.1)
    assert chosen.wide == {worst}
    layers = {layer.name: layer for layer in quantized_layers(quantize(model, table, chosen), model)}
    assert (layers[worst].activation, layers[worst].weight) == ("int16", "int16")
    assert [layer.weight for layer in layers.values() if layer.name != worst] == ["int8", "int8"]


def test_sixteen_bits_help():
    model = delicate_network()
    data = batches(model, 4)
    table = calibrate(model, data)
    (batch,) = batches(model, 1, seed=1)
    exact = evaluate(model, batch)["y"]
    errors = []
    for least in (-np.inf, 20, np.inf):
        chosen = decided(strategy("mixed"), model, table, data, least_sqnr=least)
        errors.append(np.abs(evaluate(quantize(model, table, chosen), batch)["y"] - exact).max())
    narrow, mixed, wide = errors
    assert wide <= mixed <= narrow
    assert wide < 0.1 * narrow


def test_the_choice_is_the_same_each_time_and_kept_by_quantize():
    model = residual_network()
    data = batches(model, 3)
    table = calibrate(model, data)
    choices = [decided(strategy("mixed_t"), model, table, data, least_sqnr=33) for _ in range(2)]
    assert choices[0] == choices[1]
    assert choices[0].true_integers
    assert decided(choices[0], model, table, []) is choices[0]


def test_a_share_of_the_work_keeps_eight_bits():
    model = residual_network()
    data = batches(model, 2)
    table = calibrate(model, data)
    macs = {layer.name: layer.macs for layer in count(model)}
    for share in (1.0, 0.9, 0.5, 0.0):
        wide = decided(strategy("mixed"), model, table, data, narrow_share=share).wide
        assert sum(macs[name] for name in wide) <= (1 - share) * sum(macs.values())
    assert wide == set(macs)


def test_the_worst_layers_come_first():
    sqnr = {"a": 30.0, "b": 10.0, "c": 10.0, "d": 50.0}
    macs = {"a": 40, "b": 20, "c": 30, "d": 10}
    assert worst_layers(sqnr, macs, 0.0) == set()
    assert worst_layers(sqnr, macs, 0.2) == {"b"}
    assert worst_layers(sqnr, macs, 0.5) == {"b", "c"}
    assert worst_layers(sqnr, macs, 0.89) == {"b", "c"}
    assert worst_layers(sqnr, macs, 1.0) == {"a", "b", "c", "d"}


def test_other_strategies_have_nothing_to_choose():
    for name in ("int8", "fx16_t", "null"):
        chosen = strategy(name)
        assert decided(chosen, residual_network(), {}, []) is chosen


def test_without_data_there_is_no_choice():
    model = residual_network()
    table = calibrate(model, batches(model, 1))
    with pytest.raises(CalibrationError, match="empty"):
        decided(strategy("mixed"), model, table, [])
    with pytest.raises(CalibrationError, match="has not chosen its layers yet"):
        quantize(model, table, strategy("mixed"))
