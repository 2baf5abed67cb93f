"""Quantized networks against the float ones, run by onnxruntime."""

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from openwork.errors import CalibrationError, ModelError
from openwork.graph import constant, evaluate
from openwork.quantization import MinMax, Percentile, calibrate, quantize
from tests.quantization.networks import batches, network, residual_network


def quantized(model, count=8):
    return quantize(model, calibrate(model, batches(model, count)))


def distance(a, b):
    a, b = a.ravel().astype(np.float64), b.ravel().astype(np.float64)
    return 1 - a @ b / (np.linalg.norm(a) * np.linalg.norm(b))


def fused_operators(model, path):
    """How often each operator is left after all of onnxruntime's optimizations."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3  # it warns that the optimized file suits this machine only
    onnxruntime.InferenceSession(ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"])
    return Counter(node.op_type for node in onnx.load(path).graph.node)


@pytest.mark.parametrize("observer", [MinMax, Percentile])
def test_every_tensor_stays_close_to_the_float_one_of_its_name(observer):
    model = residual_network()
    result = quantize(model, calibrate(model, batches(model, 16), observer))
    taps = ["stem_relu", "pooled", "left_relu", "right", "sum_relu", "mean", "flat"]
    for batch in batches(model, 4, seed=1):
        expected, actual = (evaluate(each, batch, taps=taps) for each in (model, result))
        for name in [*taps, "scores"]:
            assert distance(expected[name], actual[name]) < 3e-3, name


def test_it_is_valid_onnx_with_the_same_inputs_and_outputs():
    model = residual_network()
    result = quantized(model)
    onnx.checker.check_model(ir.to_proto(result), full_check=True)
    for before, after in [
        (model.graph.inputs, result.graph.inputs),
        (model.graph.outputs, result.graph.outputs),
    ]:
        assert [(v.name, v.dtype, v.shape) for v in before] == [(v.name, v.dtype, v.shape) for v in after]


def test_the_float_model_is_not_changed():
    model = residual_network()
    before = ir.to_proto(model).SerializeToString(deterministic=True)
    quantized(model)
    assert ir.to_proto(model).SerializeToString(deterministic=True) == before


def test_onnxruntime_fuses_every_operator(tmp_path):
    left = fused_operators(quantized(residual_network()), tmp_path / "optimized.onnx")
    assert left["QLinearConv"] == 3
    assert left["QLinearAdd"] == 1
    assert left["QGemm"] == 1
    assert left["QuantizeLinear"] == left["DequantizeLinear"] == 1
    assert left.keys().isdisjoint({"Conv", "Relu", "Add", "Gemm", "MaxPool", "GlobalAveragePool"})


def test_onnxruntime_fuses_a_mobile_block(tmp_path):
    rng = np.random.default_rng(0)
    model = network(
        """(float[1,8,8,8] x) => (float[1,8,8,8] y) {
            a = Conv<kernel_shape=[1,1]>(x, w0, b0)
            a6 = Clip(a, low, high)
            b = Conv<kernel_shape=[3,3], pads=[1,1,1,1], group=16>(a6, w1)
            b6 = Clip(b, low, high)
            c = Conv<kernel_shape=[1,1]>(b6, w2)
            y = Add(c, x)
        }""",
        w0=3 * rng.standard_normal((16, 8, 1, 1)).astype(np.float32),
        b0=rng.standard_normal(16).astype(np.float32),
        w1=rng.standard_normal((16, 1, 3, 3)).astype(np.float32),
        w2=rng.standard_normal((8, 16, 1, 1)).astype(np.float32),
        low=np.float32(0),
        high=np.float32(6),
    )
    left = fused_operators(quantized(model), tmp_path / "optimized.onnx")
    assert left["QLinearConv"] == 3
    assert left["QLinearAdd"] == 1
    assert "Clip" not in left


def test_no_zero_of_a_weight_is_lost():
    model = residual_network(density=0.1)
    result = quantized(model)
    for name in ["w0", "w1", "w2", "w3"]:
        before = constant(model.graph.initializers[name])
        after = constant(result.graph.initializers[f"{name}_quantized"])
        assert (after[before == 0] == 0).all()
        assert 0.85 < np.mean(after == 0) < 0.95


def test_weights_are_int8_per_channel_and_biases_int32():
    result = quantized(residual_network())
    conv = next(node for node in result.graph if node.op_type == "Conv")
    activation, weight, bias = (value.producer() for value in conv.inputs)
    integers, scale, zero_point = (constant(value) for value in weight.inputs)
    assert (integers.dtype, scale.shape, zero_point.any()) == (np.int8, (16,), False)
    integers, bias_scale, zero_point = (constant(value) for value in bias.inputs)
    assert (integers.dtype, zero_point.any()) == (np.int32, False)
    assert (bias_scale == constant(activation.inputs[1]) * scale).all()


def test_every_integer_operator_stands_between_dequantize_and_quantize():
    result = quantized(residual_network())
    for node in result.graph:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear", "Relu"):
            continue
        assert all(value.producer().op_type == "DequantizeLinear" for value in node.inputs)
        (user,) = node.outputs[0].consumers()
        if user.op_type == "Relu":
            (user,) = user.outputs[0].consumers()
        assert user.op_type == "QuantizeLinear"


def test_moves_keep_the_parameters_of_their_input():
    result = quantized(residual_network())
    for operator in ["MaxPool", "Flatten"]:
        node = next(node for node in result.graph if node.op_type == operator)
        (user,) = node.outputs[0].consumers()
        assert node.inputs[0].producer().inputs[1:] == user.inputs[1:]


def test_concat_has_one_joint_range():
    model = network(
        """(float[1,2,4,4] x, float[1,2,4,4] y) => (float[1,6,4,4] z) {
            a = Relu(x)
            z = Concat<axis=1>(a, y, c)
        }""",
        c=np.full((1, 2, 4, 4), -30, np.float32),
    )
    result = quantize(model, {"x": (-5, 5), "a": (0, 5), "y": (-4, 21)})
    concat = next(node for node in result.graph if node.op_type == "Concat")
    parameters = {tuple(value.producer().inputs[1:]) for value in concat.inputs}
    assert len(parameters) == 1
    (pair,) = parameters
    assert constant(pair[0]) == np.float32(51 / 255)
    assert constant(pair[1]) == 150
    (batch,) = batches(model, 1)
    np.testing.assert_allclose(evaluate(result, batch)["z"], evaluate(model, batch)["z"], atol=0.11)


def test_matmul_by_a_constant_and_both_layouts_of_gemm():
    rng = np.random.default_rng(0)
    model = network(
        """(float[4,8] x) => (float[4,5] y) {
            a = MatMul(x, w0)
            a1 = Relu(a)
            b = Gemm(a1, w1, b1)
            y = Gemm<transB=1>(b, w2, b2)
        }""",
        w0=rng.standard_normal((8, 16)).astype(np.float32),
        w1=rng.standard_normal((16, 6)).astype(np.float32),
        b1=rng.standard_normal((1, 6)).astype(np.float32),
        w2=rng.standard_normal((5, 6)).astype(np.float32),
        b2=rng.standard_normal(5).astype(np.float32),
    )
    result = quantized(model)
    (batch,) = batches(model, 1, seed=1)
    assert distance(evaluate(model, batch)["y"], evaluate(result, batch)["y"]) < 1e-3
    scales = [constant(result.graph.initializers[f"{name}_scale"]) for name in ["w0", "w1", "w2"]]
    assert [scale.shape for scale in scales] == [(16,), (6,), (5,)]


def test_an_add_with_a_constant():
    model = network(
        "(float[1,2,4,4] x) => (float[1,2,4,4] y) { y = Add(x, c) }",
        c=np.array([-3, 5], np.float32).reshape(1, 2, 1, 1),
    )
    result = quantized(model)
    (batch,) = batches(model, 1)
    np.testing.assert_allclose(
        evaluate(result, batch)["y"], batch["x"] + constant(model.graph.initializers["c"]), atol=0.06
    )
    assert constant(result.graph.initializers["c_quantized"]).dtype == np.uint8


def test_softmax_stays_float():
    model = network(
        "(float[1,8] x) => (float[1,4] y) { a = Gemm(x, w) y = Softmax(a) }",
        w=np.random.default_rng(0).standard_normal((8, 4)).astype(np.float32),
    )
    result = quantized(model)
    (batch,) = batches(model, 1)
    assert evaluate(result, batch)["y"].sum() == pytest.approx(1, abs=1e-6)
    assert result.graph.outputs[0].producer().op_type == "Softmax"


def test_an_output_that_is_used_inside_keeps_its_name():
    model = network(
        """(float[1,2,4,4] x) => (float[1,2,4,4] a, float[1,2,4,4] y) {
            a = Conv<kernel_shape=[1,1]>(x, w)
            y = Relu(a)
        }""",
        w=np.ones((2, 2, 1, 1), np.float32),
    )
    result = quantized(model)
    (batch,) = batches(model, 1)
    expected, actual = evaluate(model, batch), evaluate(result, batch)
    assert list(actual) == ["a", "y"]
    for name in actual:
        assert distance(expected[name], actual[name]) < 1e-3


def test_shared_weights_and_taken_names():
    model = network(
        """(float[1,2,4,4] x) => (float[1,2,4,4] y) {
            x_quantized = Conv<kernel_shape=[1,1]>(x, w)
            x_scale = Relu(x_quantized)
            y = Conv<kernel_shape=[1,1]>(x_scale, w)
        }""",
        w=np.random.default_rng(0).standard_normal((2, 2, 1, 1)).astype(np.float32),
    )
    result = quantized(model)
    onnx.checker.check_model(ir.to_proto(result), full_check=True)
    (batch,) = batches(model, 1)
    assert distance(evaluate(model, batch)["y"], evaluate(result, batch)["y"]) < 1e-3


def test_dead_channels_and_dead_tensors_are_sane():
    weight = np.random.default_rng(0).standard_normal((3, 2, 1, 1)).astype(np.float32)
    weight[1] = 0
    model = network(
        """(float[1,2,4,4] x) => (float[1,3,4,4] y) {
            a = Conv<kernel_shape=[1,1]>(x, w, b)
            r = Relu(a)
            n = Conv<kernel_shape=[1,1]>(r, v, d)
            dead = Relu(n)
            y = Add(r, dead)
        }""",
        w=weight,
        b=np.array([0.1, 0.7, -0.2], np.float32),
        v=np.zeros((3, 3, 1, 1), np.float32),
        d=np.full(3, -1, np.float32),
    )
    result = quantized(model)
    (batch,) = batches(model, 1, seed=1)
    expected, actual = (evaluate(each, batch)["y"] for each in (model, result))
    assert distance(expected, actual) < 1e-3
    np.testing.assert_allclose(actual[0, 1], 0.7, atol=0.02)


def test_a_quantized_model_is_refused():
    with pytest.raises(ModelError, match="quantized already"):
        quantize(quantized(residual_network()), {})


def test_a_missing_range_is_named():
    with pytest.raises(CalibrationError, match="tensor 'image': has no range"):
        quantize(residual_network(), {})


def test_an_old_opset_is_refused():
    model = residual_network()
    model.graph.opset_imports[""] = 12
    with pytest.raises(ModelError, match="opset 12"):
        quantize(model, {})
