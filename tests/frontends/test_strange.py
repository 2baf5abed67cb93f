"""Strange but valid files: what onnxruntime runs is taken, and computes the same."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from openwork.errors import ModelError, UnsupportedError
from openwork.exporters import save_onnx
from openwork.frontends import load_model
from openwork.graph import NEWEST_OPSET, evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.frontends import strange

BATCH = strange.SHAPE[0]


def onnxruntime_runs(model, x):
    """With the version of the format lowered, where the installed onnxruntime does not know it yet."""
    older = onnx.ModelProto.FromString(model.SerializeToString())
    older.ir_version = min(older.ir_version, 10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(older.SerializeToString(), options)
    names = [value.name for value in session.get_outputs()]
    feeds = {value.name: x if value.name == "x" else np.zeros(value.shape, "f") for value in session.get_inputs()}
    return feeds, dict(zip(names, session.run(names, feeds), strict=True))


@pytest.mark.parametrize("name", strange.MODELS)
def test_what_onnxruntime_runs(name, tmp_path):
    x = np.random.default_rng(1).normal(size=strange.SHAPE).astype("f")
    feeds, expected = onnxruntime_runs(strange.MODELS[name], x)
    (tmp_path / "m.onnx").write_bytes(strange.MODELS[name].SerializeToString())
    model = load_model(tmp_path / "m.onnx")
    canonicalise(model, batch=BATCH if " size" in name else 1)
    program = lower(model)
    actual = interpreter.run(program, {name: feeds[name] for name in program.inputs})
    assert actual.keys() == expected.keys()
    for output, array in expected.items():
        np.testing.assert_allclose(actual[output], array, rtol=1e-4, atol=1e-5)
    save_onnx(model, tmp_path / "written.onnx")
    written = onnxruntime.InferenceSession((tmp_path / "written.onnx").read_bytes())
    assert {value.name for value in written.get_outputs()} == expected.keys()


def load(model, tmp_path):
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    return load_model(tmp_path / "m.onnx")


def broken(what):
    """The network with one rule broken."""
    model = strange.network()
    graph = model.graph
    conv, relu, product = graph.node
    match what:
        case "an unknown input":
            relu.input[0] = "nowhere"
        case "an unknown input of a node that nobody reads":
            graph.node.append(helper.make_node("Relu", ["nowhere"], ["unread"]))
        case "a result twice":
            relu.output[0] = "c"
        case "a result like an initializer":
            relu.output[0] = "w"
        case "a circle":
            conv.input[0] = "r"
        case "a node that reads itself":
            relu.input[0] = "r"
        case "an output that nothing makes":
            graph.output[0].name = "nowhere"
        case "an input twice":
            graph.input.append(graph.input[0])
        case "an attribute that is unknown":
            relu.attribute.append(helper.make_attribute("axes", [1]))
        case "an attribute twice":
            conv.attribute.append(conv.attribute[0])
        case "an attribute of another type":
            conv.attribute[0].CopyFrom(helper.make_attribute("pads", 1.0))
        case "an attribute whose value is elsewhere":
            conv.attribute[0].f = 1.0
        case "an attribute without type":
            conv.attribute[0].ClearField("type")
        case "a required attribute missing":
            relu.CopyFrom(helper.make_node("MaxPool", ["c"], ["r"], name="relu"))
        case "too few inputs":
            del product.input[1]
        case "too many inputs":
            product.input.append("x")
        case "a required input left out":
            product.input[0] = ""
        case "too many outputs":
            relu.output.append("more")
        case "no operator":
            relu.op_type = ""
        case "an operator of two lines":
            relu.op_type = "Re\nlu"
        case "a type of no number":
            graph.initializer[0].data_type = 99
        case "an input of a type of no number":
            graph.input[0].type.tensor_type.elem_type = 99
        case "a negative size":
            graph.initializer[0].dims[0] = -5
    return model


BROKEN = {
    "an unknown input": "node 'relu' (Relu) reads 'nowhere', which nothing makes",
    "an unknown input of a node that nobody reads": "the Relu that makes 'unread' reads 'nowhere', which nothing makes",
    "a result twice": "node 'relu' (Relu) makes 'c', which is made already",
    "a result like an initializer": "node 'relu' (Relu) makes 'w', which is made already",
    "a circle": "depends on itself",
    "a node that reads itself": "the result of node 'relu' (Relu) depends on itself",
    "an output that nothing makes": "nothing makes the output 'nowhere'",
    "an input twice": "there are two input 'x'",
    "an attribute that is unknown": "node 'relu' (Relu) has an attribute 'axes', which opset 20 lacks",
    "an attribute twice": "there are two attribute of node 'conv' (Conv) 'pads'",
    "an attribute of another type": "node 'conv' (Conv) has an attribute 'pads' of another type than opset 20",
    "an attribute whose value is elsewhere": "an attribute 'pads' whose value is not of its type",
    "an attribute without type": "node 'conv' (Conv) has an attribute 'pads' without a type",
    "a required attribute missing": "node 'relu' (MaxPool) has no attribute 'kernel_shape', which opset 20 requires",
    "too few inputs": "node 'product' (MatMul) has 1 inputs, and takes 2",
    "too many inputs": "node 'product' (MatMul) has 3 inputs, and takes 2",
    "a required input left out": "node 'product' (MatMul) has no input 'A'",
    "too many outputs": "node 'relu' (Relu) has 2 outputs, and takes 1",
    "no operator": "node 'relu' has the operator ''",
    "an operator of two lines": "node 'relu' has the operator 'Re\\nlu'",
    "a type of no number": "the type of tensor 'w' has the number 99",
    "an input of a type of no number": "the type of 'x' has the number 99",
    "a negative size": "the shape of tensor 'w' is [-5, 3, 3, 3]",
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_breaks_a_rule_is_named(what, tmp_path):
    with pytest.raises(ModelError) as caught:
        load(broken(what), tmp_path)
    assert BROKEN[what] in str(caught.value)
    assert "not a valid ONNX model" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(Exception):  # noqa: B017 - onnxruntime's exceptions have no common base
        onnxruntime_runs(broken(what), np.zeros(strange.SHAPE, "f"))


def branches(*nodes, output="t"):
    """The Relu in both branches of an If."""
    model = strange.network()
    graph = helper.make_graph(nodes, "g", [], [onnx.ValueInfoProto(name=output)])
    model.graph.node[1].CopyFrom(helper.make_node("If", ["yes"], ["r"], then_branch=graph, else_branch=graph))
    model.graph.initializer.append(strange.tensor("yes", np.bool_(True)))
    return model


def test_graphs_inside_graphs_are_held_to_the_rules_too(tmp_path):
    relu, double = helper.make_node("Relu", ["c"], ["t"]), helper.make_node("Add", ["t", "t"], ["u"])
    model = branches(relu, double, output="u")
    model.graph.node.insert(0, model.graph.node.pop(1))  # reads c, which is made later
    x = np.random.default_rng(1).normal(size=strange.SHAPE).astype("f")
    expected = onnxruntime_runs(model, x)[1]["y"]
    np.testing.assert_array_equal(evaluate(load(model, tmp_path), {"x": x})["y"], expected)
    model = branches(double, relu, output="u")  # ONNX and onnxruntime want order here
    np.testing.assert_array_equal(evaluate(load(model, tmp_path), {"x": x})["y"], expected)
    for nodes, reason in (
        ([helper.make_node("Relu", ["nowhere"], ["t"])], "reads 'nowhere'"),
        ([relu, relu], "makes 't', which is made already"),
        ([double], "nothing makes the output 't'"),
        ([helper.make_node("Relu", ["t"], ["t"])], "depends on itself"),
        ([helper.make_node("Relu", ["c"], ["t"], alpha=1.0)], "an attribute 'alpha'"),
    ):
        with pytest.raises(ModelError, match=reason):
            load(branches(*nodes), tmp_path)


def test_what_makes_itself_through_a_graph_inside(tmp_path):
    model = branches(helper.make_node("Add", ["c", "y"], ["t"]))
    with pytest.raises(ModelError, match="depends on itself"):
        load(model, tmp_path)


@pytest.mark.parametrize(("operator", "inputs"), [("Relu", ["a"]), ("Add", ["a", "a"]), ("Sigmoid", ["a"])])
def test_a_function_may_be_of_another_version_where_it_means_the_same(operator, inputs, tmp_path):
    model = strange.network()
    nodes, opset = [helper.make_node(operator, inputs, ["b"])], [helper.make_opsetid("", 14)]
    model.functions.append(helper.make_function("own", "F", ["a"], ["b"], nodes, opset))
    model.opset_import.add(domain="own", version=1)
    model.graph.node[1].CopyFrom(helper.make_node("F", ["c"], ["r"], domain="own"))
    x = np.random.default_rng(1).normal(size=strange.SHAPE).astype("f")
    expected = onnxruntime_runs(model, x)[1]["y"]
    loaded = load(model, tmp_path)
    canonicalise(loaded)
    np.testing.assert_allclose(evaluate(loaded, {"x": x})["y"], expected, rtol=1e-5, atol=1e-6)


def test_operators_that_a_newer_version_brought_or_changed_are_named(tmp_path):
    """Celu only has more types there; SwiGLU is new, and so is an attribute of Range that is not as before."""
    model = strange.network(28)
    assert load(model, tmp_path).graph.opset_imports[""] == NEWEST_OPSET
    model.graph.node[1].CopyFrom(helper.make_node("Celu", ["c"], ["r"], name="smooth"))
    assert load(model, tmp_path).graph.opset_imports[""] == NEWEST_OPSET
    model.graph.node[1].CopyFrom(helper.make_node("SwiGLU", ["c"], ["r"], name="smooth"))
    with pytest.raises(UnsupportedError, match=f"SwiGLU 'smooth': opset 28 is newer than {NEWEST_OPSET}"):
        load(model, tmp_path)
    model.graph.node[1].CopyFrom(helper.make_node("Range", ["c", "c", "c"], ["r"], name="numbers", stash_type=0))
    with pytest.raises(UnsupportedError, match="Range 'numbers'"):
        load(model, tmp_path)


def test_types_that_are_no_tensors_do_not_hide_the_operator_that_makes_them(tmp_path):
    model = strange.network()
    model.opset_import.add(domain="own", version=3)
    model.graph.node.append(helper.make_node("Zip", ["y"], ["z"], domain="own", name="zip"))
    kind = model.graph.output.add(name="z").type.sequence_type.elem_type.map_type
    kind.key_type = TensorProto.INT64
    kind.value_type.tensor_type.elem_type = TensorProto.FLOAT
    loaded = load(model, tmp_path)
    canonicalise(loaded)
    with pytest.raises(UnsupportedError, match="own::Zip 'zip': openwork does not have this operator"):
        lower(loaded)


def test_types_that_inference_gives_do_not_hide_it_either(tmp_path):
    model = strange.network()
    model.opset_import.add(domain="ai.onnx.ml", version=3)
    zipped = helper.make_node("ZipMap", ["f"], ["z"], domain="ai.onnx.ml", classlabels_int64s=range(120), name="zip")
    model.graph.node.extend([helper.make_node("Flatten", ["y"], ["f"]), zipped])
    model.graph.output.add(name="z")
    loaded = load(model, tmp_path)
    canonicalise(loaded)
    with pytest.raises(UnsupportedError, match="::ZipMap 'zip': openwork does not have this operator"):
        lower(loaded)


def test_an_input_without_type_is_told(tmp_path):
    model = strange.network()
    model.graph.input[0].ClearField("type")
    with pytest.raises(ModelError, match="input 'x': its type is unknown"):
        canonicalise(load(model, tmp_path))


def test_a_newer_version_of_the_format_is_given_to_onnxruntime_as_an_older(tmp_path):
    model = load(strange.network(ir_version=14), tmp_path)
    assert evaluate(model, {"x": np.zeros(strange.SHAPE, "f")})["y"].shape == (2, 5, 4, 6)
    save_onnx(model, tmp_path / "written.onnx")
    assert onnx.load(tmp_path / "written.onnx").ir_version == 10
