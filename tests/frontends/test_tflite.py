"""Whole .tflite files: those of MLPerf Tiny, and those that are refused."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from openwork.errors import ModelError, UnsupportedError
from openwork.frontends import load_model
from openwork.graph import Evaluator, constant, count, evaluate, rounding_of, total
from openwork.passes import canonicalise
from tests.frontends.tflite_files import File, MicroPeer, Operator, Peer

MODELS = Path(__file__).parents[1] / "data" / "mlperf_tiny"
INT8 = ("ad_autoencoder_int8", "ic_resnet8_int8", "kws_dscnn_int8", "vww_mobilenet_int8")

# As MLPerf Tiny's own documentation counts them.
MACS = {"ad_autoencoder_int8": 264_192, "ic_resnet8_int8": 12_501_632, "kws_dscnn_int8": 2_656_768}


def file_of(name):
    return MODELS / f"{name}.tflite"


def input_for(model, seed):
    value, rng = model.graph.inputs[0], np.random.default_rng(seed)
    if value.dtype == ir.DataType.FLOAT:
        return rng.uniform(0, 255, value.shape.numpy()).astype(np.float32)
    return rng.integers(-128, 128, value.shape.numpy()).astype(np.int8)


class TestMlperfTiny:
    def test_floats(self):
        path = file_of("ic_resnet8_float")
        model, peer = load_model(path), Peer(path.read_bytes())
        canonicalise(model)
        assert rounding_of(model) == "float32"
        evaluator = Evaluator(model)
        for seed in range(5):
            x = input_for(model, seed)
            (ours,) = evaluator.run({model.graph.inputs[0].name: x}).values()
            np.testing.assert_allclose(ours, peer.run([x])[0], rtol=0, atol=1e-5)

    @pytest.mark.parametrize("name", INT8)
    def test_each_operator_is_within_one_step(self, name):
        """Every operator reads what TFLite's interpreter says, so that differences do not add up."""
        path = file_of(name)
        model = load_model(path)
        assert rounding_of(model) == "q31"
        tensors = steps_of(path, input_for(model, 0))
        checked = cut_between_operators(model, tensors)
        outputs = evaluate(
            model, {value.name: tensors[value.name.removesuffix("/given")] for value in model.graph.inputs}
        )
        differences = {tensor: np.abs(outputs[tensor].astype(int) - tensors[tensor]) for tensor in checked}
        assert len(differences) >= 10
        assert {tensor: array.max() for tensor, array in differences.items() if array.max() > 1} == {}

    @pytest.mark.parametrize("name", INT8)
    def test_whole_networks_are_near(self, name):
        """In float32 arithmetic steps add up from layer to layer: most outputs are equal or one step away."""
        path = file_of(name)
        model, peer = load_model(path), MicroPeer(path.read_bytes())
        canonicalise(model)
        evaluator, away = Evaluator(model), []
        for seed in range(10):
            x = input_for(model, seed)
            (ours,) = evaluator.run({model.graph.inputs[0].name: x}).values()
            away.append(np.abs(ours.astype(int) - peer.run([x])[0]))
        assert np.mean(np.stack(away) <= 1) >= 0.85

    @pytest.mark.parametrize("name", INT8)
    def test_one_transpose_at_most_is_left(self, name):
        model = load_model(file_of(name))
        shapes = [value.shape for value in model.graph.inputs]
        canonicalise(model)
        assert [value.shape for value in model.graph.inputs] == shapes
        transposes = [node for node in model.graph if node.op_type == "Transpose"]
        assert len(transposes) == (0 if name.startswith("ad_") else 1)
        assert all(node.inputs[0].dtype == ir.DataType.INT8 for node in transposes)

    @pytest.mark.parametrize("name", MACS)
    def test_macs(self, name):
        model = load_model(file_of(name))
        canonicalise(model)
        assert total(count(model)).macs == pytest.approx(MACS[name], rel=0.01)

    def test_scales_are_taken_over_bit_for_bit(self):
        import tflite

        path = file_of("kws_dscnn_int8")
        graph = tflite.Model.GetRootAs(path.read_bytes()).Subgraphs(0)
        given = {}
        for index in range(graph.TensorsLength()):
            tensor = graph.Tensors(index)
            if tensor.Type() == tflite.TensorType.INT8:
                given[tensor.Name().decode()] = tensor.Quantization().ScaleAsNumpy()
        model = load_model(path)
        scales = {
            name: value.const_value.numpy().reshape(-1)
            for name, value in model.graph.initializers.items()
            if name.removesuffix("/scale") in given
        }
        assert len([name for name in scales if name.endswith("/scale")]) == len(given)
        for name, scale in given.items():
            assert scales[f"{name}/scale"].tobytes() == scale.tobytes()
        bias = next(node for node in model.graph if node.name == "conv_2d_0/DequantizeLinear_2")
        x, weight = graph.Tensors(graph.Operators(0).Inputs(0)), graph.Tensors(graph.Operators(0).Inputs(1))
        product = x.Quantization().ScaleAsNumpy() * weight.Quantization().ScaleAsNumpy()
        assert constant(bias.inputs[1]).tobytes() == product.tobytes()


def steps_of(path, x):
    """{tensor: array}: what the interpreter computed on the way, by name."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return {
        detail["name"]: interpreter.get_tensor(detail["index"])
        for detail in interpreter.get_tensor_details()
        if detail["name"] and detail["dtype"] == np.int8
    }


def cut_between_operators(model, tensors):
    """Make each computed tensor of the file an output, and let its readers read an input instead."""
    graph, names = model.graph, []
    for node in list(graph):
        for value in node.outputs:
            if value.name not in tensors:
                continue
            given = ir.val(f"{value.name}/given", value.dtype, value.shape)
            for user, index in tuple(value.uses()):
                user.replace_input_with(index, given)
            graph.inputs.append(given)
            names.append(value.name)
            if not value.is_graph_output():
                graph.outputs.append(value)
    return names


def relu(**tensor):
    """x float32[1,4] -> y = Relu(x), whose x is changed."""
    file = File()
    file.add("x", **{"shape": (1, 4), "dtype": "float32", **tensor})
    file.add("y", (1, 4), "float32")
    file.operators.append(Operator("RELU", [0], [1]))
    file.inputs, file.outputs = [0], [1]
    return file


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.tflite"


def refused(path, file, match, error=ModelError):
    path.write_bytes(file if isinstance(file, bytes) else file.content())
    with pytest.raises(error, match=match) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_sound_file(path):
    path.write_bytes(relu().content())
    model = load_model(path)
    np.testing.assert_array_equal(evaluate(model, {"x": np.float32([[-1, 0, 1, 2]])})["y"], [[0, 0, 1, 2]])


def test_an_open_batch_has_size_one(path):
    path.write_bytes(relu(signature=(-1, 4)).content())
    assert load_model(path).graph.inputs[0].shape == (1, 4)


def test_a_missing_file(path):
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"\0" * 100, b"\xff" * 100, b"\x08\0\0\0TFL3" + b"\xff" * 50])
def test_another_kind_of_file(path, content):
    refused(path, content, "no .tflite file|damaged or truncated")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"shape": (-1, 4)}, r"tensor 'x': its shape \[-1, 4\] is dynamic"),
        ({"signature": (1, -1)}, r"'x': its shape \[1, -1\] is dynamic"),
        ({"shape": (0, 4)}, "'x': has no elements"),
        ({"shape": (1,) * 9}, "more than 8 dimensions"),
        ({"shape": (2**31 - 1, 2**31 - 1)}, "too many elements"),
        ({"shape": (1, 5)}, r"tensor 'y': is FLOAT\[1, 4\] in the file, but its operator computes FLOAT\[1, 5\]"),
        ({"dtype": "int64"}, "'y': is FLOAT"),
        ({"dtype": "string"}, "'x': its type is STRING"),
        ({"dtype": "complex64"}, "'x': its type is COMPLEX64"),
        ({"variable": True}, "'x': keeps state"),
        ({"sparse": True}, "'x': is stored as a sparse tensor"),
        ({"data": np.zeros(3, np.float32)}, r"'x' is damaged .*it has 12 bytes, its shape is \[1, 4\]"),
        ({"data": np.float32([[0, np.nan, 0, 0]])}, "NaN"),
        ({"dtype": "int8", "scale": [0.0], "zero_point": [0]}, "not positive"),
        ({"dtype": "int8", "scale": [np.nan], "zero_point": [0]}, "not positive"),
        ({"dtype": "int8", "scale": [0.1], "zero_point": [300]}, "zero point that is no int8"),
        ({"dtype": "int8", "scale": [0.1] * 3, "zero_point": [0], "axis": 1}, "3 scales along axis 1"),
        ({"dtype": "int8", "scale": [0.1] * 4, "zero_point": [0], "axis": -1}, "4 scales along axis -1"),
    ],
)
def test_tensors_that_are_refused(path, change, match):
    file = relu(**change)
    if "data" in change:
        file.inputs = []
    refused(path, file, match)


def test_graphs_that_are_refused(path):
    file = relu()
    file.graphs = 2
    refused(path, file, "has 2 graphs")
    file = relu()
    file.outputs = []
    refused(path, file, "no outputs")
    file = relu()
    file.inputs = []
    refused(path, file, "'x': is read before it is computed")
    file = relu()
    file.operators *= 2
    refused(path, file, "'y': is computed twice")
    file = relu()
    file.operators[0].inputs = [1]
    refused(path, file, "'y': is read before it is computed")
    file = relu()
    file.operators[0].inputs = [2]
    refused(path, file, "names a tensor outside its 2")
    file = relu()
    file.operators[0].inputs = []
    refused(path, file, "relu_0: has no input 0")


def test_all_unknown_operators_are_listed(path):
    file = relu()
    file.operators = [Operator("CUSTOM mine", [0], [1]), Operator("RFFT2D", [1], [1]), Operator("RELU", [0], [1])]
    error = refused(path, file, "2 nodes not supported: CUSTOM mine 'custom mine_0'.*RFFT2D", UnsupportedError)
    assert [node.operator for node in error.nodes] == ["CUSTOM mine", "RFFT2D"]


def test_all_refused_operators_are_listed(path):
    file = relu()
    file.add("z", (1, 4), "float32")
    file.add("w", (1, 4), "float32")
    file.outputs = [3]
    file.operators += [
        Operator("ADD", [1, 1], [2], "AddOptions", {"FusedActivationFunction": 5}),
        Operator("TRANSPOSE", [2, 1], [3], "TransposeOptions"),
    ]
    error = refused(path, file, "fused activation function 5.*permutation is computed at run time", UnsupportedError)
    assert [node.name for node in error.nodes] == ["add_1", "transpose_2"]


def test_options_of_another_operator(path):
    file = relu()
    file.operators = [Operator("LEAKY_RELU", [0], [1], "SoftmaxOptions", {"Beta": 1.0})]
    refused(path, file, "leaky_relu_0: has no option Alpha")


def test_constants_inputs_and_outputs_may_be_the_same_tensor(path):
    file = relu()
    file.add("c", (2,), "float32", np.float32([3, 4]))
    file.outputs = [1, 1, 0, 2]
    path.write_bytes(file.content())
    x = np.float32([[-1, 0, 1, 2]])
    outputs = [*evaluate(load_model(path), {"x": x}).values()]
    for actual, expected in zip(outputs, [np.maximum(x, 0), np.maximum(x, 0), x, [3, 4]], strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_names_need_not_be_names(path):
    file = relu()
    for tensor, name in zip(file.tensors, ("a\n*/;\0\"'", "a\n*/;\0\"'"), strict=True):
        tensor.name = name
    path.write_bytes(file.content())
    model = load_model(path)
    canonicalise(model)
    assert len({value.name for value in (*model.graph.inputs, *model.graph.outputs)}) == 2


def test_weights_of_four_bits(path):
    file = File()
    file.add("x", (1, 3), "int8", None, [0.5], [0])
    file.add("w", (2, 3), "int4", np.uint8([0x21, 0xF3, 0x78]), [0.25], [0])  # 1 2 3 -1 -8 7
    file.add("y", (1, 2), "int8", None, [0.125], [0])
    file.operators.append(Operator("FULLY_CONNECTED", [0, 1], [2], "FullyConnectedOptions"))
    file.inputs, file.outputs = [0], [2]
    path.write_bytes(file.content())
    x = np.int8([[3, 5, -2]])
    np.testing.assert_array_equal(evaluate(load_model(path), {"x": x})["y"], [[3 + 10 - 6, -3 - 40 - 14]])
