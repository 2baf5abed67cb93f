"""inspect, optimize, compare: commands about models."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest

from openwork.cli import main
from openwork.exporters import save_onnx
from openwork.frontends import load_model
from openwork.graph import count
from tests.cli.conftest import Ask
from tests.quantization.networks import residual_network


def test_inspect_counts_what_the_model_holds(road: Path, ask: Ask) -> None:
    result = ask("inspect", road / "float.onnx")
    layers = count(load_model(road / "float.onnx"))
    assert result["inputs"] == ["image float32[1, 3, 16, 16]"]
    assert result["outputs"] == ["scores float32[1, 10]"]
    assert result["operators"]["Conv"] == 3
    assert [layer["name"] for layer in result["layers"]] == [layer.name for layer in layers]
    assert result["macs"] == sum(layer.macs for layer in layers)
    assert result["nonzeros"] == sum(layer.nonzeros for layer in layers)
    assert result["sparsity"] == pytest.approx(0.9, abs=0.02)
    assert {layer["pattern"] for layer in result["layers"]} == {"unstructured"}


def test_inspect_prints_a_line_for_every_layer(road: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(road / "float.onnx")]) == 0
    out = capsys.readouterr().out
    assert all(layer.name in out for layer in count(load_model(road / "float.onnx")))
    assert out.splitlines()[-1].startswith("total")


def test_inspect_sees_the_same_zeros_in_integers(road: Path, ask: Ask) -> None:
    floats, integers = (ask("inspect", road / name)["layers"] for name in ("float.onnx", "int8.onnx"))
    for one, other in zip(floats, integers, strict=True):
        assert other["macs"] == one["macs"]
        assert one["nonzeros"] * 0.95 <= other["nonzeros"] <= one["nonzeros"]


def test_optimize_sets_shapes_and_keeps_what_is_computed(tmp_path: Path, ask: Ask) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> network (float[n,4] x) => (float[n,4] y) '
        "{ a = Identity(x)  b = Relu(a)  unused = Neg(a)  y = Add(b, b) }"
    )
    onnx.save(model, tmp_path / "m.onnx")
    for arguments, rows in ((["--set-shape", "x=3,4"], 3), (["--batch", 5], 5), ([], 1)):
        result = ask("optimize", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", *arguments)
        assert (result["nodes_before"], result["nodes"]) == (4, 2)
        session = onnxruntime.InferenceSession(tmp_path / "o.onnx")
        x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) - 3
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], 2 * np.maximum(x, 0))
        assert session.get_inputs()[0].shape == [rows, 4]


@pytest.mark.parametrize("text", ["x", "x=", "x=1,-1", "x=a", "=1,2", "x=1" + "0" * 5000])
def test_optimize_refuses_a_shape_that_is_none(
    text: str, road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["optimize", str(road / "float.onnx"), "-o", str(tmp_path / "o.onnx"), "--set-shape", text]
    assert main(command) == 2
    assert "x=1,3,224,224" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_written_models_tell_their_sparsity(road: Path) -> None:
    props = {prop.key: prop.value for prop in onnx.load(road / "int8.onnx").metadata_props}
    assert float(props["openwork.sparsity"]) == pytest.approx(0.9, abs=0.02)
    assert int(props["openwork.effective_macs"]) < int(props["openwork.macs"])


def test_compare_passes_what_agrees(road: Path, ask: Ask) -> None:
    for a, b in (("float.onnx", "float"), ("int8.onnx", "int8"), ("float", "float")):
        result = ask("compare", road / a, road / b, "--input", road / "images.npy")
        assert result["passed"] and result["outputs"][0]["passed"]
        assert result["first_diverging"] is None


def test_compare_fails_what_differs_and_tells_where(
    road: Path, tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    other = residual_network(density=0.1)
    weight = other.graph.initializers["w1"].const_value
    other.graph.initializers["w1"].const_value = ir.tensor(-weight.numpy(), name="w1")
    save_onnx(other, tmp_path / "other.onnx")
    result = ask("compare", tmp_path / "other.onnx", road / "float", status=1)
    assert not result["passed"]
    assert result["first_diverging"]["name"] == "left_relu"
    assert main(["compare", str(tmp_path / "other.onnx"), str(road / "float")]) == 1
    out, err = capsys.readouterr()
    assert "FAILED" in out
    assert err.endswith("differ in scores; first diverging tensor: left_relu\n")


def test_compare_passes_what_lies_within(road: Path, ask: Ask) -> None:
    assert ask("compare", road / "float.onnx", road / "int8", "--within", "0.5")["passed"]
    assert not ask("compare", road / "float.onnx", road / "int8", "--within", "1e-6", status=1)["passed"]


def test_compare_sets_shapes_that_are_left_open(tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> network (float[n,m] x) => (float[n,m] y) { y = Relu(x) }'
    )
    onnx.save(model, tmp_path / "m.onnx")
    np.save(tmp_path / "x.npy", np.ones((2, 4), np.float32))
    pair = ["compare", str(tmp_path / "m.onnx"), str(tmp_path / "m.onnx")]
    assert main(pair) == 2
    assert "--set-shape" in capsys.readouterr().err
    assert ask(*pair, "--set-shape", "x=2,4", "--input", tmp_path / "x.npy")["passed"]
