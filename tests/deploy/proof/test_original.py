"""Models held against the file that they came from, run by its own runtime."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from openwork.cli import main
from openwork.deploy import InferenceSession
from openwork.deploy.artifact import Reference, open_artifact
from openwork.deploy.compile import compile_model
from openwork.deploy.proof import original as running
from openwork.deploy.proof.original import OwnGraph, Said, run_original
from openwork.deploy.tensors import read_tensor
from openwork.errors import VerificationError
from openwork.frontends import load_model
from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.frontends.tflite_files import File, Operator
from tests.graphs import graph
from tests.models import Writer, quantized, random_inputs, residual_net

ONNXRUNTIME = f"onnxruntime {version('onnxruntime')}"
FILE = Reference(f"original file with {ONNXRUNTIME}", "")


def saved(model: ir.Model, path: Path) -> Path:
    ir.save(model, path)
    return path


def convolution(size: int | str = 6) -> ir.Model:
    w = Writer()
    return w.model(w.conv(w.input("x", (1, 3, size, 6)), 3, 4, 3, name="y"))


def canonical(path: Path, **options: object) -> ir.Model:
    model = load_model(path)
    canonicalise(model, **options)
    return model


def compiled(path: Path, folder: Path, change: Callable[[ir.Model], object] = lambda model: None, **options: object):
    """Compile what openwork makes of a file, after a mistake."""
    model = canonical(path)
    change(model)
    return compile_model(model, folder, target=load_target("cpu"), original=path, **options)


def said(path: Path | ir.Model | None, *inputs: np.ndarray) -> Said:
    found = run_original(path, inputs)
    assert isinstance(found, Said), found
    return found


# ---- the file is what counts ----


def test_a_float_library_is_held_against_the_file(tmp_path: Path) -> None:
    path = saved(residual_net(), tmp_path / "model.onnx")
    artifact = compiled(path, tmp_path / "deploy")
    assert artifact.reference == open_artifact(tmp_path / "deploy").reference == FILE
    (right,) = said(path, read_tensor(tmp_path / "deploy", artifact.inputs[0])).outputs
    np.testing.assert_array_equal(read_tensor(tmp_path / "deploy", artifact.outputs[0]), right)


def test_an_integer_library_equals_the_interpreter_which_is_held_against_the_file(tmp_path: Path) -> None:
    path = saved(quantized(residual_net()), tmp_path / "model.onnx")
    artifact = compiled(path, tmp_path / "deploy")
    assert artifact.reference == FILE
    assert [(output.max_abs_diff, output.tolerance) for output in artifact.proof] == [(0, 0)]


@pytest.mark.parametrize("network", [convolution, lambda: quantized(convolution())])
def test_a_wrong_value_of_the_graph_is_an_error(tmp_path: Path, network: Callable[[], ir.Model]) -> None:
    """As an importer's or a pass's mistake would be: here a bias is forgotten."""

    def forget(model: ir.Model) -> None:
        conv = next(node for node in model.graph if node.op_type == "Conv")
        conv.replace_input_with(2, None)

    path = saved(network(), tmp_path / "model.onnx")
    with pytest.raises(VerificationError, match=r"output 'y': is up to .* in openwork's graph, but the original file"):
        compiled(path, tmp_path / "deploy", forget)
    assert not (tmp_path / "deploy").exists()


def test_another_shape_of_the_graph_is_an_error(tmp_path: Path) -> None:
    def pad(model: ir.Model) -> None:
        conv = next(node for node in model.graph if node.op_type == "Conv")
        conv.attributes.add(ir.AttrInt64s("pads", [1, 1, 1, 1]))
        conv.outputs[0].shape = ir.Shape([1, 4, 6, 6])

    path = saved(convolution(), tmp_path / "model.onnx")
    with pytest.raises(VerificationError, match=r"'y': is float32\[1, 4, 6, 6\] .* float32\[1, 4, 4, 4\]; openwork's"):
        compiled(path, tmp_path / "deploy", pad)
    assert not (tmp_path / "deploy").exists()


def test_a_rounding_that_falls_on_the_other_side_is_none(tmp_path: Path) -> None:
    model = quantized(residual_net())
    path = saved(model, tmp_path / "model.onnx")
    program = lower(canonical(path))
    inputs = random_inputs(model)
    results = interpreter.run(program, inputs)
    graph = OwnGraph(program, {"y": results["y"]}, "nchw")
    right = said(path, inputs["x"])
    graph.check(right, {"y": 0.0})
    off = right.outputs[0] + np.float32(0.015) * np.ptp(right.outputs[0]) * (np.arange(right.outputs[0].size) == 3)
    graph.check(Said([off.astype(np.float32)], right.runtime, False), {"y": 0.0})
    with pytest.raises(VerificationError, match="output 'y'"):
        graph.check(Said([right.outputs[0] * np.float32(1.1)], right.runtime, False), {"y": 0.0})


def test_channels_last_is_no_other_model(tmp_path: Path) -> None:
    path = saved(convolution(), tmp_path / "model.onnx")
    assert compiled(path, tmp_path / "deploy", layout="nhwc").reference == FILE


# ---- files of every kind ----


def test_tensors_in_files_of_their_own(tmp_path: Path) -> None:
    model, x = convolution(), random_inputs(convolution())["x"]
    onnx.save(
        ir.to_proto(model), str(tmp_path / "model.onnx"), save_as_external_data=True, location="w", size_threshold=0
    )
    np.testing.assert_array_equal(
        said(tmp_path / "model.onnx", x).outputs[0],
        said(saved(model, tmp_path / "whole.onnx"), x).outputs[0],
    )


def test_shapes_that_were_set(tmp_path: Path) -> None:
    """Of a size that the file leaves open, and of one that it does not; with weights elsewhere too."""
    wanted = random_inputs(convolution(9))["x"]
    (right,) = said(saved(convolution(9), tmp_path / "right.onnx"), wanted).outputs
    for size in ("height", 6):
        path = tmp_path / "model.onnx"
        proto = ir.to_proto(convolution())
        proto.graph.input[0].type.tensor_type.shape.dim[2].ClearField("value")
        if isinstance(size, int):
            proto.graph.input[0].type.tensor_type.shape.dim[2].dim_value = size
        onnx.save(proto, str(path), save_as_external_data=True, location=f"{size}.data", size_threshold=0)
        np.testing.assert_array_equal(said(path, wanted).outputs[0], right)


def test_files_newer_than_onnxruntime_knows(tmp_path: Path) -> None:
    proto = ir.to_proto(convolution())
    proto.ir_version = 99
    onnx.save(proto, str(tmp_path / "model.onnx"))
    assert said(tmp_path / "model.onnx", random_inputs(convolution())["x"]).runtime == ONNXRUNTIME


def test_a_model_as_it_was_exported() -> None:
    model = convolution()
    inputs = random_inputs(model)
    np.testing.assert_allclose(said(model, inputs["x"]).outputs[0], evaluate(model, inputs)["y"], rtol=1e-5, atol=1e-5)


def test_initializers_that_are_inputs_are_not_fed(tmp_path: Path) -> None:
    proto = ir.to_proto(convolution())
    for tensor in proto.graph.initializer:
        proto.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    onnx.save(proto, str(tmp_path / "model.onnx"))
    assert compiled(tmp_path / "model.onnx", tmp_path / "deploy").reference == FILE


# ---- no original ----


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("model.pt2", b"", "files of torch are not run"),
        ("model.onnx", b"\x00", "onnxruntime refuses it|its runtime"),
        ("model.tflite", b"none", "ai-edge-litert refuses it|its runtime"),
    ],
)
def test_what_cannot_be_run_is_told(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(content)
    found = run_original(tmp_path / name, [])
    assert isinstance(found, str)
    assert any(each in found for each in why.split("|")), found
    assert run_original(None, []) == "no file was given"


def test_without_an_original_openworks_graph_is_the_reference(tmp_path: Path) -> None:
    for kind, network, own in (("f", convolution(), ONNXRUNTIME), ("i", quantized(convolution()), "its interpreter")):
        canonicalise(network)
        artifact = compile_model(network, tmp_path / kind, target=load_target("cpu"))
        assert artifact.reference == Reference(f"openwork's graph with {own}", "no file was given")


def test_a_runtime_that_dies_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        running,
        "child_arguments",
        lambda *_: ["/bin/sh", "-c", "kill -SEGV $$"],
    )
    path = saved(convolution(), tmp_path / "model.onnx")
    artifact = compiled(path, tmp_path / "deploy")
    assert artifact.reference == Reference(f"openwork's graph with {ONNXRUNTIME}", "its runtime died of SIGSEGV")


def test_results_that_are_not_finite_are_no_reference(tmp_path: Path) -> None:
    """In float16 numbers end at 65504."""
    w = Writer()
    big = w.op("Cast", w.op("Mul", w.input("x", (1, 4)), w.constant(np.float32(1e6))), to=10)
    path = saved(w.model(w.op("Cast", big, to=1, name="y")), tmp_path / "model.onnx")
    model = convolution()
    canonicalise(model)
    graph = OwnGraph(lower(model), {"y": np.zeros((1, 4), np.float32)}, "nchw")
    found = run_original(path, [np.ones((1, 4), np.float32)])
    assert isinstance(found, Said) and found.halves
    assert isinstance(graph.ask(path, {"x": np.ones((1, 4), np.float32)}), str)


# ---- the command ----


def test_compile_tells_which_reference_was_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(convolution(), tmp_path / "model.onnx")
    assert main(["compile", str(path), "-o", str(tmp_path / "deploy"), "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["reference"] == {"name": FILE.name, "why": ""}
    assert f"reference: {FILE.name}\n" in told.err


# ---- TFLite ----


def hybrid(path: Path) -> Path:
    """A FULLY_CONNECTED of floats with weights of 8 bits."""
    rng = np.random.default_rng(0)
    file = File()
    x = file.add("x", (1, 16), "float32")
    weight = file.add("w", (4, 16), "int8", rng.integers(-127, 128, (4, 16), np.int8), [0.01], [0])
    y = file.add("y", (1, 4), "float32")
    file.operators.append(Operator("FULLY_CONNECTED", [x, weight, -1], [y], "FullyConnectedOptions"))
    file.inputs, file.outputs = [x], [y]
    path.write_bytes(file.content())
    return path


def test_layers_that_tflite_quantizes_as_it_runs_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, folder = hybrid(tmp_path / "model.tflite"), tmp_path / "deploy"
    assert main(["compile", str(path), "-o", str(folder), "--json"]) == 0
    told = capsys.readouterr()
    (note,) = json.loads(told.out)["notes"]
    assert note.startswith("fully_connected_0 computes in float32: TFLite would quantize what it is fed")
    assert json.loads(told.out)["reference"]["name"].startswith("original file with ai-edge-litert ")
    x = random_inputs(canonical(path), seed=3)["x"]
    (right,) = said(path, x).outputs
    with InferenceSession(folder) as session:
        (result,) = session.run(None, {"x": x})
    assert 0 < np.abs(result - right).max() < 0.03 * np.ptp(right)
    assert main(["compare", str(path), str(folder)]) == 0
    assert "fully_connected_0 computes in float32" in capsys.readouterr().err


def test_a_choice_whose_order_is_free_is_held_in_order(tmp_path: Path) -> None:
    """Any order is right with `sorted` = 0; onnxruntime's is another than openwork's."""
    body = "v, i = TopK <axis = 0, largest = 0, sorted = 0> (x, k)"
    model = graph(f"(float[9,3] x) => (float[4,3] v, int64[4,3] i) {{ {body} }}", k=np.array([4]))
    path = saved(model, tmp_path / "model.onnx")
    assert compiled(path, tmp_path / "deploy").reference == FILE
    x = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
    (values, indices) = InferenceSession(tmp_path / "deploy").run(None, {"x": x})
    np.testing.assert_array_equal(values, np.sort(x, 0)[:4])
    np.testing.assert_array_equal(np.take_along_axis(x, indices, 0), values)


@pytest.mark.parametrize(
    ("body", "batch"),
    [
        ("y = Relu(x)", 1),
        ("y = Slice(x, zero, one, zero)", 0),
        ("y = Gather(x, zero)", 0),
        ("f = Slice(x, zero, one, zero) y = Sub(x, f)", 0),
        ("s = Size(x) c = Cast <to = 1> (s) y = Div(x, c)", 0),
        ("y = Trilu(x)", 0),
        ("y = Reshape(x, flat)", 0),
        ("a = Reshape(x, turned) b = Softmax(a) y = Reshape(b, back)", 0),
    ],
)
def test_one_row_of_an_open_batch_is_held_among_others(tmp_path: Path, body: str, batch: int) -> None:
    """Shapes of one row do not tell that more would be mixed, or that only the first is taken."""
    shapes = {"flat": [1, -1], "turned": [4, -1], "back": [-1, 4]}
    constants = {name: np.array(each) for name, each in {"zero": [0], "one": [1], **shapes}.items()}
    path = saved(graph(f"(float[N,4] x) => (float[M,K] y) {{ {body} }}", **constants), tmp_path / "model.onnx")
    assert compiled(path, tmp_path / "deploy").batch == batch
