from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from openwork.errors import ModelError
from openwork.frontends import load_model
from openwork.graph import evaluate
from openwork.passes import canonicalise
from tests.frontends import opsets
from tests.graphs import graph, operators, to_bytes

X = np.float32([[1, 2]])


def network(bias=(3.0, 4.0), dtype="f"):
    return graph("(float[1,2] x) => (float[1,2] y) { y = Add(x, b) }", b=np.asarray(bias, dtype))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


def refused(path, match):
    with pytest.raises(ModelError, match=match) as caught:
        load_model(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_sound_file(path):
    path.write_bytes(to_bytes(network()))
    np.testing.assert_array_equal(evaluate(load_model(path), {"x": X})["y"], [[4, 6]])


def test_the_long_name_of_the_default_domain(path):
    proto = onnx.ModelProto.FromString(to_bytes(network()))
    proto.opset_import[0].domain = "ai.onnx"
    path.write_bytes(proto.SerializeToString())
    model = load_model(path)
    canonicalise(model)
    np.testing.assert_array_equal(evaluate(model, {"x": X})["y"], [[4, 6]])


def test_a_missing_file_and_a_directory(path):
    refused(path, "cannot be read")
    refused(path.parent, "cannot be read")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"a text", b"\x08\x0a"])
def test_another_kind_of_file(path, content):
    path.write_bytes(content)
    refused(path, "ONNX")


def test_every_truncation(path):
    content = to_bytes(network())
    for length in range(len(content)):
        path.write_bytes(content[:length])
        try:  # a cut between two fields can leave a sound model
            model = load_model(path)
        except ModelError as error:
            assert "\n" not in str(error)
        else:
            np.testing.assert_array_equal(evaluate(model, {"x": X})["y"], [[4, 6]])


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_random_and_damaged_bytes(tmp_path, data):
    content = bytearray(to_bytes(network()))
    if data.draw(st.booleans()):
        proto = onnx.ModelProto.FromString(bytes(content))
        onnx.external_data_helper.set_external_data(proto.graph.initializer[0], "b.bin")
        (tmp_path / "b.bin").write_bytes(proto.graph.initializer[0].raw_data)
        proto.graph.initializer[0].ClearField("raw_data")
        content = bytearray(proto.SerializeToString())
    if data.draw(st.booleans()):
        content = data.draw(st.binary(max_size=200))
    else:
        for _ in range(data.draw(st.integers(1, 3))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged.onnx"
    path.write_bytes(bytes(content))
    try:
        canonicalise(load_model(path))
    except ModelError as error:
        assert "\n" not in str(error)


def test_a_graph_that_breaks_the_rules(path):
    model = network()
    proto = onnx.ModelProto.FromString(to_bytes(model))
    proto.graph.node[0].input[1] = "nowhere"
    path.write_bytes(proto.SerializeToString())
    refused(path, "not a valid ONNX model.*nowhere")


def test_masks_may_be_infinite(path):
    path.write_bytes(to_bytes(network([-np.inf, 1])))
    np.testing.assert_array_equal(evaluate(load_model(path), {"x": X})["y"], [[-np.inf, 3]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["f4", "f8", "f2"])
def test_weights_that_are_no_numbers_are_named(path, value, dtype):
    b = np.array([[value], [1]], dtype)
    path.write_bytes(to_bytes(graph("(float[1,2] x) => (float[1,1] y) { y = MatMul(x, b) }", b=b)))
    refused(path, "tensor 'b' has 1 of 2 elements that are NaN or infinite")


def test_constants_inside_nodes_are_looked_at_too(path):
    constant = onnx.numpy_helper.from_array(np.float32([np.nan, 1]))
    proto = onnx.ModelProto.FromString(to_bytes(graph("(float[2] x) => (float[2] y) { y = Add(x, c) }")))
    proto.graph.node.insert(0, helper.make_node("Constant", [], ["c"], name="offset", value=constant))
    path.write_bytes(proto.SerializeToString())
    refused(path, "tensor 'value' of node 'offset'")


def test_damaged_scales_of_an_old_operator_are_named(path):
    """Which are read early, to tell how it found its pixels."""
    model = opsets.single("upsample", 9)
    model.graph.initializer[0].dims[0] = 5
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="tensor 'scales' is damaged"):
        load_model(path)


def test_scales_that_are_texts_are_refused(path):
    model = opsets.single("upsample", 13)
    (scales,) = (each for each in model.graph.initializer if each.name == "scales")
    scales.ClearField("raw_data")
    scales.data_type = TensorProto.STRING
    scales.string_data.extend([b"1"] * 4)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError):
        canonicalise(load_model(path))


def test_one_infinite_number_is_a_bound(path):
    bound = np.float32(np.inf)
    model = graph("(float[1,2] x) => (float[1,2] y) { y = Clip(x, low, high) }", low=np.float32(0), high=bound)
    path.write_bytes(to_bytes(model))
    assert load_model(path)


class TestExternalData:
    def save(self, path, location, **info):
        proto = onnx.ModelProto.FromString(to_bytes(network()))
        tensor = proto.graph.initializer[0]
        content = tensor.raw_data
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **info}.items():
            tensor.external_data.add(key=key, value=str(value))
        path.write_bytes(proto.SerializeToString())
        return content

    def test_beside_the_model(self, path):
        content = self.save(path, "weights/b.bin", offset=4, length=8)
        (path.parent / "weights").mkdir()
        (path.parent / "weights" / "b.bin").write_bytes(b"\0" * 4 + content)
        model = load_model(path)
        (path.parent / "weights" / "b.bin").unlink()
        np.testing.assert_array_equal(evaluate(model, {"x": X})["y"], [[4, 6]])

    @pytest.mark.parametrize("location", ["../b.bin", "{parent}/b.bin", "inside/../../b.bin", "link.bin"])
    def test_outside(self, tmp_path, location):
        directory = tmp_path / "model"
        directory.mkdir()
        content = self.save(directory / "m.onnx", location.format(parent=tmp_path))
        (tmp_path / "b.bin").write_bytes(content)
        (directory / "link.bin").symlink_to(tmp_path / "b.bin")
        refused(directory / "m.onnx", "tensor 'b' is outside the model's directory")

    def test_missing(self, path):
        self.save(path, "b.bin")
        refused(path, "'b.bin', which is missing")

    @pytest.mark.parametrize("info", [{}, {"length": 8}, {"offset": 4}, {"length": 4}, {"length": 12}, {"offset": -1}])
    def test_too_short(self, path, info):
        content = self.save(path, "b.bin", **info)
        (path.parent / "b.bin").write_bytes(content[:7])
        refused(path, "does not fit 'b.bin'")

    def test_nonsense(self, path):
        content = self.save(path, "b.bin", offset="many")
        (path.parent / "b.bin").write_bytes(content)
        refused(path, "'b' cannot be read .*'many'")


@pytest.mark.parametrize("opset", [7, 9, 10])
def test_old_operators_are_converted(path, opset):
    random = np.random.default_rng(0)
    arrays = {
        "w": random.normal(size=(4, 3, 3, 3)),
        **{name: random.uniform(0.5, 1, 4) for name in ("scale", "shift", "mean", "variance")},
        "g": random.normal(size=(4, 5)),
        "h": random.normal(size=5),
    }
    constants = [onnx.numpy_helper.from_array(array.astype("f"), name) for name, array in arrays.items()]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["c", "scale", "shift", "mean", "variance"], ["n"]),
        helper.make_node("Clip", ["n"], ["k"], min=0.0, max=6.0),
        helper.make_node("Dropout", ["k"], ["d"], ratio=0.5),
        helper.make_node("GlobalAveragePool", ["d"], ["p"]),
        helper.make_node("Squeeze", ["p"], ["f"], axes=[2, 3]),
        helper.make_node("Gemm", ["f", "g", "h"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    inputs = [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in constants]
    proto = helper.make_model(
        helper.make_graph(
            nodes,
            "old",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 8, 8]), *inputs],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
            constants,
        ),
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=3,  # of the time when initializers had to be inputs too
    )
    path.write_bytes(proto.SerializeToString())
    x = random.normal(size=(1, 3, 8, 8)).astype("f")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    (expected,) = onnxruntime.InferenceSession(path, options).run(None, {"x": x})

    model = load_model(path)
    canonicalise(model)
    assert operators(model) == ["Conv", "Clip", "GlobalAveragePool", "Squeeze", "Gemm", "Softmax"]
    np.testing.assert_allclose(evaluate(model, {"x": x})["y"], expected, rtol=1e-5)


@pytest.mark.parametrize("version", range(7, 24))
def test_every_opset(path, version):
    """The common operators compute what onnxruntime makes of the file as it is, before and after the pipeline."""
    proto = opsets.network(version)
    path.write_bytes(proto.SerializeToString())
    x = np.random.default_rng(1).normal(size=opsets.SHAPE).astype("f")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options)
    expected = dict(zip(opsets.CASES, session.run(list(opsets.CASES), {"x": x}), strict=True))
    model = load_model(path)
    assert model.graph.opset_imports[""] == max(version, 13)
    loaded = evaluate(model, {"x": x})
    canonicalise(model)
    canonical = evaluate(model, {"x": x})
    for name, array in expected.items():
        np.testing.assert_allclose(loaded[name], array, rtol=1e-4, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(canonical[name], array, rtol=1e-4, atol=1e-5, err_msg=name)


def test_hardmax_had_another_meaning(path):
    path.write_bytes(to_bytes(graph("(float[2,3,4] x) => (float[2,3,4] y) { y = Hardmax(x) }", opset=12)))
    refused(path, "Hardmax has another meaning since")


def test_old_operators_that_cannot_be_converted(path):
    model = graph(
        "(float[1,1,2] x) => (float[1,1,1,1] y) { y = GRU<hidden_size=1>(x, w, r) }",
        opset=3,
        w=np.ones((1, 3, 2), "f"),
        r=np.ones((1, 3, 1), "f"),
    )
    path.write_bytes(to_bytes(model))
    refused(path, "opset 3 cannot be converted to 13 .* export the model with opset 13 or newer")


@pytest.mark.parametrize("place", ["NODE", "GRAPH", "DOC", "KEY", "ONE", "MANY"])
def test_names_that_are_no_text(path, place):
    proto = onnx.ModelProto.FromString(to_bytes(network()))
    proto.graph.node[0].name, proto.graph.name, proto.graph.node[0].doc_string = "NODE", "GRAPH", "DOC"
    proto.metadata_props.add(key="KEY", value="é")
    proto.graph.node[0].domain = "local"
    proto.graph.node[0].attribute.append(helper.make_attribute("one", "ONE"))
    proto.graph.node[0].attribute.append(helper.make_attribute("many", ["MANY", "é"]))
    proto.opset_import.add(domain="local", version=1)
    path.write_bytes(proto.SerializeToString())
    load_model(path)
    path.write_bytes(proto.SerializeToString().replace(place.encode(), b"\xff" * len(place)))
    refused(path, "not UTF-8")


def test_a_device_is_not_read():
    refused(Path("/dev/zero"), "cannot be read")
