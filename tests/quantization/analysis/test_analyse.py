import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openwork.errors import DataError, ModelError
from openwork.graph import evaluate
from openwork.passes import canonicalise
from openwork.quantization import calibrate, quantize
from openwork.quantization.analysis import Error, analyse
from openwork.quantization.analysis.analyse import _Sums
from tests.quantization.networks import batches, network, residual_network

MODEL = residual_network()
BATCHES = batches(MODEL, 3)
TABLE = calibrate(MODEL, BATCHES)
QUANTIZED = quantize(MODEL, TABLE)


def direct_distance(a, b):
    a, b = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    return 1 - a @ b / np.sqrt((a @ a) * (b @ b))


def test_accumulated_errors_are_those_of_the_whole_quantized_network():
    analysis = analyse(MODEL, QUANTIZED, BATCHES)
    assert analysis.batches == 3
    for layer in analysis.layers:
        tap = f"{layer.tensor}_dequantized" if layer.tensor != "scores" else "scores"
        reference = np.stack([evaluate(MODEL, each, taps=[layer.tensor])[layer.tensor] for each in BATCHES])
        result = np.stack([evaluate(QUANTIZED, each, taps=[tap])[tap] for each in BATCHES])
        assert layer.accumulated.max_error == pytest.approx(np.abs(result - reference).max(), rel=1e-5)
        noise, signal = np.square(result - reference).sum(), np.square(reference).sum()
        assert layer.accumulated.sqnr == pytest.approx(10 * np.log10(signal / noise), abs=1e-3)
        width = reference.max() - reference.min()
        psnr = 10 * np.log10(width**2 / np.square(result - reference).mean())
        assert layer.accumulated.psnr == pytest.approx(psnr, abs=1e-3)
        assert layer.accumulated.distance == pytest.approx(direct_distance(result, reference), abs=1e-6)
    assert analysis.final_distance == analysis.outputs["scores"].distance == analysis.layers[-1].accumulated.distance


def test_a_layers_own_error_is_what_it_makes_when_it_alone_is_quantized():
    analysis = analyse(MODEL, QUANTIZED, BATCHES)
    nodes = [str(node.name) for node in MODEL.graph]
    checked = 0
    for layer in analysis.layers:
        if layer.operator not in ("Conv", "Gemm"):
            continue
        absorbed = {node.name for node in MODEL.graph if node.op_type == "Relu"}
        alone = quantize(MODEL, TABLE, exclude=[name for name in nodes if name != layer.name and name not in absorbed])
        tap = f"{layer.tensor}_dequantized" if layer.tensor != "scores" else "scores"
        for each in BATCHES[:1]:
            (only,) = [one for one in analyse(MODEL, QUANTIZED, [each]).layers if one.name == layer.name]
            reference = evaluate(MODEL, each, taps=[layer.tensor])[layer.tensor]
            result = evaluate(alone, each, taps=[tap])[tap]
            assert only.own.max_error == pytest.approx(np.abs(result - reference).max(), rel=1e-4)
            assert only.own.distance == pytest.approx(direct_distance(result, reference), abs=1e-7)
        checked += 1
    assert checked == 4


def test_a_relu_belongs_to_the_layer_before_it():
    layers = {layer.tensor: layer.operator for layer in analyse(MODEL, QUANTIZED, BATCHES).layers}
    assert layers["stem_relu"] == "Conv" and layers["sum_relu"] == "Add"
    assert "stem" not in layers and "sum" not in layers


def test_what_ranges_cut_off_is_saturation():
    narrow = {name: (0.1 * low, 0.1 * high) for name, (low, high) in TABLE.ranges.items()}
    cut = {layer.tensor: layer for layer in analyse(MODEL, quantize(MODEL, narrow), BATCHES).layers}
    whole = {layer.tensor: layer for layer in analyse(MODEL, QUANTIZED, BATCHES).layers}
    assert max(layer.saturation for layer in whole.values()) == 0
    reference = np.stack([evaluate(MODEL, each, taps=["right"])["right"] for each in BATCHES])
    low, high = narrow["right"]
    step = (high - low) / 255
    outside = ((reference < low - step) | (reference > high + step)).mean()
    assert cut["right"].saturation == pytest.approx(outside, rel=0.05)
    assert cut["right"].accumulated.sqnr < whole["right"].accumulated.sqnr - 10


def test_true_integers_come_out_as_fake_quantization_does():
    fake, true = analyse(MODEL, QUANTIZED, BATCHES), analyse(MODEL, QUANTIZED, BATCHES, true_integers=True)
    for one, other in zip(fake.layers, true.layers, strict=True):
        assert (one.name, one.own) == (other.name, other.own)
        assert other.accumulated.sqnr == pytest.approx(one.accumulated.sqnr, abs=1.0)


def test_one_output_can_be_named():
    analysis = analyse(MODEL, QUANTIZED, BATCHES, output="pooled")
    (pooled,) = [layer for layer in analysis.layers if layer.tensor == "pooled"]
    assert analysis.final_distance == pooled.accumulated.distance
    with pytest.raises(ModelError, match="is no tensor of both models; choose from"):
        analyse(MODEL, QUANTIZED, BATCHES, output="nothing")


def test_float_islands_are_rows_too():
    model = network(
        """(float[1,8] x) => (float[1,8] y) {
            a = MatMul(x, w)
            b = Softmax(a)
            y = MatMul(b, w)
        }""",
        w=np.random.default_rng(0).standard_normal((8, 8)).astype(np.float32),
    )
    data = batches(model, 2)
    layers = {one.tensor: one for one in analyse(model, quantize(model, calibrate(model, data)), data).layers}
    assert layers["a"].bits == 8
    assert set(layers) == {"a", "b", "y"}
    assert 0 < layers["b"].own.max_error < 0.1


def test_models_of_onnxruntimes_own_quantization(tmp_path):
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.left = list(BATCHES)

        def get_next(self):
            return self.left.pop() if self.left else None

    onnx.save(ir.to_proto(MODEL), tmp_path / "float.onnx")
    quantize_static(tmp_path / "float.onnx", tmp_path / "int8.onnx", Reader(), quant_format=QuantFormat.QDQ)
    theirs = ir.load(tmp_path / "int8.onnx")
    canonicalise(theirs)
    analysis = analyse(MODEL, theirs, BATCHES)
    assert {"stem_relu", "scores"} <= {layer.tensor for layer in analysis.layers}
    assert 0 < analysis.final_distance < 0.01


def test_models_and_data_that_do_not_fit():
    with pytest.raises(DataError, match="the data is empty"):
        analyse(MODEL, QUANTIZED, [])
    other = network("(float[1,4] x) => (float[1,4] elsewhere) { elsewhere = Relu(x) }")
    with pytest.raises(ModelError, match="no tensor of the float one; quantize this very model"):
        analyse(MODEL, other, BATCHES)


@given(st.lists(st.floats(-10, 10, width=32), min_size=2, max_size=40), st.integers(0, 1000), st.floats(1e-5, 10))
def test_the_distance_keeps_its_digits(values, seed, size):
    reference = np.array([1.0, *values], np.float32)
    noise = size * np.random.default_rng(seed).standard_normal(len(reference))
    value = (reference + noise).astype(np.float32)
    sums = _Sums()
    for part in np.array_split(np.arange(len(reference)), 2):  # sums may be taken in parts
        sums.update(reference[part], value[part])
    wanted = direct_distance(reference, value)
    assert sums.error().distance == pytest.approx(wanted, rel=1e-3, abs=1e-9)


def test_grades_are_those_of_mera():
    grades = [Error(0, 0, psnr, 0).grade for psnr in (10, 20, 25, 30, float("inf"))]
    assert grades == ["poor", "acceptable", "good", "very good", "very good"]
