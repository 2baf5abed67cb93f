import numpy as np
import onnx_ir as ir
import onnxruntime.quantization
import pytest
from hypothesis import given, settings

from openwork.errors import ModelError, UnsupportedError
from openwork.exporters import save_onnx
from openwork.frontends import load_model
from openwork.graph import evaluate
from openwork.lowering import lower
from openwork.passes import canonicalise
from tests.graphs import graph, networks, operators, to_bytes


def inputs_of(model, seed=0):
    shapes = {value.name: value.shape.numpy() for value in model.graph.inputs}
    return {name: np.random.default_rng(seed).normal(size=shape).astype("f") for name, shape in shapes.items()}


@settings(deadline=None, max_examples=60)
@given(networks())
def test_outputs_stay_and_twice_is_once(model):
    before = model.clone()
    canonicalise(model, batch=2)
    inputs = inputs_of(model)
    expected, actual = evaluate(before, inputs), evaluate(model, inputs)
    assert list(actual) == list(expected)
    for name, array in expected.items():
        assert actual[name].dtype == array.dtype
        np.testing.assert_allclose(actual[name], array, rtol=0, atol=1e-4 * np.abs(array).max() + 1e-6)

    once = to_bytes(model)
    canonicalise(model, batch=2)
    assert to_bytes(model) == once


@settings(deadline=None, max_examples=60)
@given(networks())
def test_everything_has_a_name_a_dtype_and_a_static_shape(model):
    canonicalise(model)
    names = [node.name for node in model.graph]
    values = [*model.graph.inputs, *model.graph.initializers.values()]
    values += [output for node in model.graph for output in node.outputs]
    assert all(names) and len(set(names)) == len(names)
    assert all(value.name for value in values) and len({value.name for value in values}) == len(values)
    assert all(value.shape.is_static() and value.dtype is not None for value in values)
    assert "Dropout" not in operators(model) and "Constant" not in operators(model)


def test_inferred_shapes_are_those_onnxruntime_computes():
    model = graph(
        "(float[N,3,9,7] x) => (float[N,M] y) { c = Conv<strides=[2,2]>(x, w)p = GlobalAveragePool(c) y = Flatten(p) }",
        w=np.ones((4, 3, 3, 3), "f"),
    )
    canonicalise(model, batch=3)
    tensors = evaluate(model, inputs_of(model), taps=["c", "p"])
    shapes = {output.name: output.shape.numpy() for node in model.graph for output in node.outputs}
    assert shapes == {name: array.shape for name, array in tensors.items()}


def test_initializers_are_no_inputs_and_dead_nodes_are_gone():
    model = graph("(float[1,4] x, float[4] b) => (float[1,4] y) { y = Add(x, b) unused = Exp(x) }", b=np.ones(4, "f"))
    canonicalise(model)
    assert [value.name for value in model.graph.inputs] == ["x"]
    assert operators(model) == ["Add"]


def test_an_unused_input_stays():
    model = graph("(float[1,4] x, float[1] flag) => (float[1,4] y) { y = Relu(x) }")
    canonicalise(model)
    assert [value.name for value in model.graph.inputs] == ["x", "flag"]


def test_functions_are_inlined():
    model = ir.from_onnx_text(
        """<ir_version: 10, opset_import: ["": 20, "local": 1]>
        test (float[1,4] x) => (float[1,4] y) { y = local.twice(x) }
        <domain: "local", opset_import: ["": 20]> twice (a) => (b) { b = Add(a, a) }"""
    )
    canonicalise(model)
    assert operators(model) == ["Add"] and not model.functions


def test_an_output_that_is_an_input_or_another_output_keeps_its_name():
    model = graph(
        "(float[1,4] x) => (float[1,4] a, float[1,4] b, float[1,4] c)"
        "{ a = Identity(x) r = Relu(x) b = Identity(r) c = Identity(r) }"
    )
    x = np.array([[-1, 0, 1, 2]], "f")
    canonicalise(model)
    result = evaluate(model, {"x": x})
    np.testing.assert_array_equal(result["a"], x)
    np.testing.assert_array_equal(result["b"], np.maximum(x, 0))
    np.testing.assert_array_equal(result["c"], np.maximum(x, 0))


@pytest.mark.parametrize(
    "activation", [onnxruntime.quantization.QuantType.QUInt8, onnxruntime.quantization.QuantType.QInt8]
)
@pytest.mark.parametrize("per_channel", [False, True])
def test_what_onnxruntime_quantized_passes_unharmed(tmp_path, activation, per_channel):
    random = np.random.default_rng(0)
    model = graph(
        "(float[1,3,8,8] x) => (float[1,5] y) { c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) d = Conv(r, v)"
        "s = Add(c, d) p = GlobalAveragePool(s) f = Flatten(p) y = Gemm<transB=1>(f, g, h) }",
        w=random.normal(size=(4, 3, 3, 3)).astype("f"),
        b=random.normal(size=4).astype("f"),
        v=random.normal(size=(4, 4, 1, 1)).astype("f"),
        g=random.normal(size=(5, 4)).astype("f"),
        h=random.normal(size=5).astype("f"),
    )
    samples = [{"x": random.normal(size=(1, 3, 8, 8)).astype("f")} for _ in range(4)]
    save_onnx(model, tmp_path / "float.onnx")

    class Reader(onnxruntime.quantization.CalibrationDataReader):
        rest = iter(samples)

        def get_next(self):
            return next(self.rest, None)

    onnxruntime.quantization.quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "int8.onnx",
        Reader(),
        per_channel=per_channel,
        activation_type=activation,
    )
    quantized = load_model(tmp_path / "int8.onnx")
    before = operators(quantized)
    expected = evaluate(quantized, samples[0])["y"]
    canonicalise(quantized)
    assert operators(quantized) == before
    np.testing.assert_array_equal(evaluate(quantized, samples[0])["y"], expected)


def test_a_malformed_node_is_a_model_error():
    model = graph("(float[1,4] x) => (float[1,3] y) { y = MatMul(x, w) }", w=np.ones((5, 3), "f"))
    with pytest.raises(ModelError, match="MatMul"):
        canonicalise(model)


def test_old_forms_are_refused():
    """Softmax and its like had other meanings."""
    model = graph("(float[1,4] x) => (float[1,4] y) { y = Softmax(x) }", opset=12)
    with pytest.raises(ModelError, match="opset 12 is older than 13; read it with load_model"):
        canonicalise(model)


@pytest.mark.parametrize(
    "network",
    [
        "c = Conv(x, w) y = foreign.BatchNormalization(c, v, v, v, v)",
        "c = Conv(x, w) t = foreign.Transpose<perm = [0, 2, 3, 1]>(c) y = Transpose<perm = [0, 3, 1, 2]>(t)",
        "m = foreign.MatMul(x, x) y = Add(m, v)",
        "p = foreign.Pad(x) y = foreign.Identity(p)",
        "y = foreign.ConvTranspose(x, w)",
        "c = foreign.Constant<value = float {1.0}>() y = Add(x, c)",
        "r = foreign.Relu(v) y = Add(x, r)",
    ],
)
def test_operators_of_others_are_not_taken_for_those_of_onnx(network):
    """Whatever their names: they stay, and are refused by their full name."""
    model = graph(
        f"(float[1,2,4,4] x) => (float[1,2,4,4] y) {{ {network} }}",
        w=np.ones((2, 2, 1, 1), "f"),
        v=np.ones(2, "f"),
        opset=17,
    )
    model.opset_imports["foreign"] = 1
    foreign = [node.op_identifier() for node in model.graph if node.domain]
    canonicalise(model)
    assert [node.op_identifier() for node in model.graph if node.domain] == foreign
    with pytest.raises(UnsupportedError, match=f"foreign::{foreign[0][1]}"):
        lower(model)
