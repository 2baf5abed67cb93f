from pathlib import Path

import numpy as np
import pytest

from openwork.cli import main
from openwork.exporters import save_onnx
from tests.cli.conftest import Ask
from tests.graphs import graph


def test_compile_tells_the_proof(road: Path, tmp_path: Path, ask: Ask) -> None:
    result = ask("compile", road / "int8.onnx", "-o", tmp_path / "deploy")
    assert result["target"] == "cpu"
    assert [output["max_abs_diff"] for output in result["outputs"]] == [0.0]
    assert (tmp_path / "deploy" / "deploy.so").exists()


def test_compile_takes_a_batch_and_a_layout(road: Path, tmp_path: Path, ask: Ask) -> None:
    shape = ("--set-shape", "image=2,3,16,16")
    ask("compile", road / "float.onnx", "-o", tmp_path / "deploy", *shape, "--layout", "nhwc")
    result = ask("run", tmp_path / "deploy", "--input", road / "images.npy", "-o", tmp_path / "out")
    assert result["outputs"][0]["shape"] == [8, 10]


def test_compile_tells_which_quantized_layers_compute_in_float(
    tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    model = graph(
        "(float[1,16,4,4] x) => (float[1,4,4,4] y) { q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) "
        "f = DequantizeLinear(w, s, z) c = Conv(d, f) p = QuantizeLinear(c, s, z) y = DequantizeLinear(p, s, z) }",
        w=np.ones((4, 16, 1, 1), np.uint8),
        s=np.float32(0.1),
        z=np.uint8(0),
    )
    save_onnx(model, tmp_path / "m.onnx")
    [told] = ask("compile", tmp_path / "m.onnx", "-o", tmp_path / "deploy")["notes"]
    assert "computes in float32" in told
    assert main(["compile", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "deploy")]) == 0
    assert f"note: {told}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [
        (["--target", "toaster"], "target 'toaster' does not exist"),
        (["--threads", "0"], "--threads"),
        (["--layout", "hwcn"], "--layout"),
        (["--batch", "4"], "batch 4: no input leaves its first dimension open, they are image [1,3,16,16]"),
    ],
)
def test_compile_refuses_what_it_does_not_know(
    arguments: list[str], cause: str, road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", str(road / "float.onnx"), "-o", str(tmp_path / "new"), *arguments]) == 2
    assert cause in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_compile_deletes_what_it_did_not_write_only_when_told(
    road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["compile", str(road / "float.onnx"), "-o", str(tmp_path / "deploy")]
    assert main(command) == 0
    (tmp_path / "deploy" / "thesis.tex").touch()
    assert main(command) == 2
    assert "holds files that openwork did not write ('thesis.tex')" in capsys.readouterr().err
    assert (tmp_path / "deploy" / "thesis.tex").exists()
    assert main([*command, "--force"]) == 0
    assert not (tmp_path / "deploy" / "thesis.tex").exists()
