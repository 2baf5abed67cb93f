import re
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from openwork.cli import main
from openwork.exporters import save_onnx
from tests.cli.conftest import Ask
from tests.quantization.analysis.test_constant import joined_by_one_scale
from tests.quantization.networks import network, residual_network


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


def test_compare_names_a_branch_that_is_lost(tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    for name, model in zip(("float.onnx", "int8.onnx"), joined_by_one_scale(), strict=True):
        save_onnx(model, tmp_path / name)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((1, 8, 5, 5), np.float32))
    pair = [tmp_path / "int8.onnx", tmp_path / "float.onnx", "--input", tmp_path / "x.npy"]
    result = ask("compare", *pair)
    assert list(result["constant"]) == [str(tmp_path / "int8.onnx")]
    (part,) = result["constant"][str(tmp_path / "int8.onnx")]
    assert (part["tensor"], part["part"], part["value"]) == ("y", "8 to 15 of axis 1", 0)
    assert main(["compare", *map(str, pair)]) == 0
    assert "int8.onnx: 'y', 8 to 15 of axis 1: always 0 instead of 0.5" in capsys.readouterr().err
    assert ask("compare", *pair[1:2] * 2, *pair[2:])["constant"] == {}


def test_compare_names_kernels_that_saturate(tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    """Which is seen on processors of x86 without VNNI only, and not with weights of 7 bits."""
    rng = np.random.default_rng(0)
    signs = rng.choice([1, -1], (6, 1, 1, 1))
    model = network(
        "(float[1,32,6,6] x) => (float[1,6,4,4] y) { y = Conv(x, w) }",
        w=(signs * (0.9 + 0.1 * rng.random((6, 32, 3, 3)))).astype(np.float32),
    )
    x = (0.8 + 0.2 * rng.random((1, 32, 6, 6))).astype(np.float32)
    save_onnx(model, tmp_path / "float.onnx")
    np.save(tmp_path / "x.npy", x)
    given = ["--input", str(tmp_path / "x.npy")]
    for name, options in (("8.onnx", []), ("7.onnx", ["--for", "onnxruntime-x86"])):
        ask("quantize", tmp_path / "float.onnx", "--data", tmp_path / "x.npy", "-o", tmp_path / name, *options)
    eight, seven = (ask("compare", *[tmp_path / name] * 2, *given)["saturation"] for name in ("8.onnx", "7.onnx"))
    assert seven == {}
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    exact = re.search(r"\b(avx512_vnni|avx_vnni)\b", flags) or " ssse3 " not in flags
    assert bool(eight) is not bool(exact)
    assert main(["compare", *[str(tmp_path / "8.onnx")] * 2, *given]) == 0
    assert ("saturate on this processor" in capsys.readouterr().err) is bool(eight)
