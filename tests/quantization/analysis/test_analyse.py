import numpy as np
import onnx_ir as ir
import pytest

from openwork.errors import DataError, ModelError
from openwork.graph import evaluate
from openwork.passes import canonicalise
from openwork.quantization import calibrate, quantize, strategy
from openwork.quantization.analysis import analyse
from tests.quantization.analysis.test_error import direct_distance
from tests.quantization.networks import batches, network, residual_network

MODEL = residual_network()
BATCHES = batches(MODEL, 3)
TABLE = calibrate(MODEL, BATCHES)
QUANTIZED = quantize(MODEL, TABLE)


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
    with pytest.raises(ModelError, match="the float model is quantized; give the float one first"):
        analyse(QUANTIZED, MODEL, BATCHES)
    with pytest.raises(DataError, match="the data is empty"):
        analyse(MODEL, QUANTIZED, [])
    shape = "[1,3,16,16]"
    for other, message in (
        ("(float[1,4] x) => (float[1,4] y) { y = Relu(x) }", r"takes x FLOAT\[1, 4\], the float one image"),
        (f"(float{shape} image) => (float{shape} y) {{ y = Relu(image) }}", "has no tensor of the float one"),
        (f"(float{shape} image) => (float{shape} sum) {{ sum = Relu(image) }}", "tensor 'sum': is .* in the float"),
    ):
        with pytest.raises(ModelError, match=f"{message}.*; quantize this very model"):
            analyse(MODEL, network(other), BATCHES)
    part = network(
        """(float[1,3,16,16] image) => (float[1,16,16,16] stem) {
            stem = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(image, w)
        }""",
        w=np.zeros((16, 3, 3, 3), np.float32),
    )
    with pytest.raises(ModelError, match="output 'scores': is no tensor of both models; choose from stem"):
        analyse(MODEL, part, BATCHES)


def test_a_float_model_of_an_older_opset_is_run_as_it_is():
    model = network(
        """(float[2,6] x) => (float[2,6] y, float[2,1] mean) {
            y = MatMul(x, w)
            mean = ReduceMean<axes=[1]>(y)
        }""",
        opset=17,
        w=np.random.default_rng(0).standard_normal((6, 6)).astype(np.float32),
    )
    data = batches(model, 2)
    analysis = analyse(model, quantize(model, calibrate(model, data), strategy("fx16")), data)
    assert [layer.bits for layer in analysis.layers] == [16, 16] and analysis.final_distance < 1e-6


@pytest.mark.parametrize("hidden", [-np.inf, -3.4e38])
def test_masks_are_rows_like_others(hidden):
    rng = np.random.default_rng(0)
    model = network(
        """(float[1,4,6] x, bool[1,1,6] mask) => (float[1,4,6] y) {
            scores = MatMul(x, w)
            bias = Where(mask, zero, hidden)
            masked = Add(scores, bias)
            share = Softmax(masked)
            y = MatMul(share, w)
        }""",
        w=rng.standard_normal((6, 6)).astype(np.float32),
        zero=np.float32(0),
        hidden=np.float32(hidden),
    )
    data = [{**batches(model, 1)[0], "mask": np.array([1, 1, 0, 1, 0, 1], bool).reshape(1, 1, 6)}]
    layers = {each.tensor: each for each in analyse(model, quantize(model, calibrate(model, data)), data).layers}
    assert layers["bias"].own.max_error == 0
    assert 0 < layers["masked"].accumulated.max_error < 0.1
    assert np.isfinite(layers["masked"].accumulated.distance)


def test_each_reader_of_a_tensor_coded_twice_reads_the_float_networks():
    model = network(
        "(float[1,8] x) => (float[1,8] a, float[1,8] b) { t = Tanh(x) a = Relu(t) b = Neg(t) }",
    )
    coded = network(
        """(float[1,8] x) => (float[1,8] a, float[1,8] b) {
            x_q = QuantizeLinear(x, coarse, zero)
            x_d = DequantizeLinear(x_q, coarse, zero)
            t = Tanh(x_d)
            t_q = QuantizeLinear(t, fine, zero)
            t_d = DequantizeLinear(t_q, fine, zero)
            a = Relu(t_d)
            t_q2 = QuantizeLinear(t, finer, zero)
            t_d2 = DequantizeLinear(t_q2, finer, zero)
            b = Neg(t_d2)
        }""",
        coarse=np.float32(0.5),
        fine=np.float32(1 / 120),
        finer=np.float32(1 / 127),
        zero=np.int8(0),
    )
    layers = {each.tensor: each for each in analyse(model, coded, batches(model, 2)).layers}
    assert layers["t"].own.max_error > 0.05
    for name, step in (("a", 1 / 120), ("b", 1 / 127)):
        assert 0 < layers[name].own.max_error <= 0.51 * step < layers[name].accumulated.max_error
