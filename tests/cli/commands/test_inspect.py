import re
from pathlib import Path

import onnx
import pytest

from openwork.cli import main
from openwork.frontends import load_model
from openwork.graph import count
from tests.cli.conftest import Ask


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


def test_what_is_no_model_is_told(road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(road / "int8")]) == 2
    assert "int8: is an artifact, a model that is compiled already; give the model" in capsys.readouterr().err
    for content in (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, b""):
        (tmp_path / "net.h5").write_bytes(content)
        assert main(["inspect", str(tmp_path / "net.h5")]) == 2
        assert "net.h5: no model of a kind that is taken; give .onnx, .tflite, or .pt" in capsys.readouterr().err


def save(model: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(model.SerializeToString())
    return path


def unsupported(size: str | int = 8) -> onnx.ModelProto:
    """A Conv, then a function with two nodes that openwork does not take, and a Det that depends on shapes alone."""
    return onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["": 20, "own": 1]>
        network (float[N,3,{size},8] x, float[1,2,8] s) => (float[A,B,C,D] y, w, d)
        <float[2,3,3,3] k = {{{", ".join(["1.0"] * 54)}}}, int64[3] r = {{1, 2, 2}}>
        {{
            [first] y = Conv<pads = [1, 1, 1, 1]>(x, k)
            w = own.Both(s)
            h = Shape(x)
            f = Cast<to = 1>(h)
            g = Reshape<allowzero = 0>(f, r)
            d = Det(g)
        }}
        <domain: "own", opset_import: ["": 20]>
        Both (a) => (b) {{ [strange] t = own2.Op(a) [second] b = Det(t) }}"""
    )


def test_inspect_lists_what_compile_refuses(tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(unsupported(), tmp_path / "m.onnx")
    result = ask("inspect", path)
    assert [(each["operator"], each["reason"]) for each in result["refused"]] == [
        ("own2::Op", "openwork does not have this operator"),
        ("Det", "openwork does not have this operator"),
    ]
    [layer] = result["layers"]
    assert (layer["name"], layer["macs"]) == ("first", 2 * 8 * 8 * 27)
    assert main(["compile", str(path), "-o", str(tmp_path / "deploy")]) == 2
    told = capsys.readouterr().err
    assert "2 nodes not supported" in told
    for each in result["refused"]:
        assert f"{each['operator']} {each['name']!r}: {each['reason']}" in told
    assert main(["inspect", str(path)]) == 0
    assert "own2::Op  openwork does not have this operator" in capsys.readouterr().out


def test_an_operator_that_is_unknown_is_told_before_a_shape_that_is_missing(
    tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    path = save(unsupported("H"), tmp_path / "m.onnx")
    result = ask("inspect", path)
    assert [each["operator"] for each in result["refused"]] == ["own2::Op", "Det"], "the last follows from shapes alone"
    assert result["inputs"] == ["x float32[N, 3, H, 8]", "s float32[1, 2, 8]"]
    assert result["layers"] == [] and result["operators"]["Conv"] == 1
    assert main(["compile", str(path), "-o", str(tmp_path / "deploy")]) == 2
    told = capsys.readouterr().err
    assert "2 nodes not supported" in told and "--set-shape" not in told


def test_a_missing_shape_is_told_where_it_would_help(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 10, opset_import: ["": 20]>
        network (float[N,3,H,W] x, float[N,T] ids) => (y, z) { y = Relu(x) z = Relu(ids) }"""
    )
    path = save(model, tmp_path / "m.onnx")
    for command in (["inspect", str(path)], ["compile", str(path), "-o", str(tmp_path / "deploy")]):
        assert main(command) == 2
        assert "give --set-shape x=1,3,224,224 --set-shape ids=1,128 with" in capsys.readouterr().err
    assert main(["inspect", str(path), "--set-shape", "x=1,3,224,224", "--set-shape", "ids=1,128"]) == 0
    model.graph.node[0].op_type = "NonZero"
    model.graph.node.add(op_type="Gather", input=["z", "y"], output=["g"])
    model.graph.output.add(name="g")
    del model.graph.output[0]
    shapes = ["--set-shape", "x=1,3,4,4", "--set-shape", "ids=1,4"]
    assert main(["inspect", str(save(model, path)), *shapes]) == 0
    out = capsys.readouterr().out
    assert "NonZero" in out and "set-shape" not in out


@pytest.mark.parametrize(
    "node",
    [
        "[big] y = MaxPool<kernel_shape = [8, 8]>(x)",
        "[big] t = MaxPool<kernel_shape = [8, 8]>(x) y = Slice(t, one, two)",
        "[big] t = Conv(x, k) y = Conv(t, k)",
        "[big] y = AveragePool<kernel_shape = [7, 1]>(x)",
    ],
)
def test_a_window_larger_than_its_image_is_named_and_nothing_negative_is_printed(
    node: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ones = ", ".join(["1.0"] * 3 * 3 * 49)
    model = onnx.parser.parse_model(
        f"""<ir_version: 10, opset_import: ["": 20]> network (float[1,3,5,5] x) => (y)
        <float[3,3,7,7] k = {{{ones}}}, int64[1] one = {{0}}, int64[1] two = {{1}}> {{ {node} }}"""
    )
    path = save(model, tmp_path / "m.onnx")
    main(["inspect", str(path)])
    inspected = capsys.readouterr()
    assert main(["compile", str(path), "-o", str(tmp_path / "deploy")]) == 2
    compiled = capsys.readouterr()
    assert "'big'" in compiled.err and "big" in inspected.out + inspected.err
    figures = [line for line in inspected.out.splitlines() if "has a size below 1" not in line]  # the reason tells it
    assert not any(re.search(r"-\d", line.removeprefix(str(path))) for line in figures)
