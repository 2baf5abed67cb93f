"""compile, run, verify, bench: commands about artifacts."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from openwork.cli import main
from openwork.exporters import save_onnx
from openwork.frontends import load_model
from openwork.graph import evaluate
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
    ],
)
def test_compile_refuses_what_it_does_not_know(
    arguments: list[str], cause: str, road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", str(road / "float.onnx"), "-o", str(tmp_path / "new"), *arguments]) == 2
    assert cause in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_run_writes_what_the_model_computes(road: Path, tmp_path: Path, ask: Ask) -> None:
    result = ask("run", road / "float", "--input", f"image={road}/images.npy", "-o", tmp_path / "out")
    [output] = result["outputs"]
    assert (output["name"], output["shape"], output["dtype"]) == ("scores", [8, 10], "float32")
    scores = np.load(output["file"])
    model = load_model(road / "float.onnx")
    for image, score in zip(np.load(road / "images.npy"), scores, strict=True):
        expected = evaluate(model, {"image": image[np.newaxis]})["scores"][0]
        np.testing.assert_allclose(score, expected, rtol=0, atol=1e-4 * np.ptp(expected))


def test_run_takes_the_same_images_in_every_layout(tmp_path: Path, ask: Ask) -> None:
    generator = np.random.default_rng(0)
    for index in range(3):
        Image.fromarray(generator.integers(0, 256, (6, 9, 3), dtype=np.uint8)).save(tmp_path / f"{index}.png")
    save_text(tmp_path / "m.onnx", "(float[1,3,4,5] x) => (float[1,3,4,5] y) { y = Relu(x) }")
    results = []
    for layout in ("nchw", "nhwc"):
        ask("compile", tmp_path / "m.onnx", "-o", tmp_path / layout, "--layout", layout)
        [output] = ask("run", tmp_path / layout, "--input", tmp_path, "-o", tmp_path / "out")["outputs"]
        results.append(np.load(output["file"]))
    assert results[0].shape == (3, 3, 4, 5)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("(float[2,4] x) => (float y) { y = ReduceMean<keepdims=0>(x) }", []),
        ("(float[2,4] x) => (float[1,1] y) { y = ReduceMean<keepdims=1>(x) }", [1, 1]),
    ],
)
def test_run_joins_no_batches_of_outputs_without_one(
    text: str, shape: list[int], tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    save_text(tmp_path / "m.onnx", text)
    ask("compile", tmp_path / "m.onnx", "-o", tmp_path / "deploy")
    np.save(tmp_path / "x.npy", np.ones((4, 4), np.float32))
    np.save(tmp_path / "one.npy", np.ones((2, 4), np.float32))
    [output] = ask("run", tmp_path / "deploy", "--input", tmp_path / "one.npy", "-o", tmp_path / "out")["outputs"]
    assert output["shape"] == shape
    assert np.load(output["file"]) == 1
    command = ["run", str(tmp_path / "deploy"), "--input", str(tmp_path / "x.npy"), "-o", str(tmp_path / "new")]
    assert main(command) == 2
    assert "share no first dimension" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def save_text(path: Path, text: str) -> None:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> network {text}'), path)


def test_run_gives_strange_names_a_plain_file(tmp_path: Path) -> None:
    from openwork.cli.commands.run import _file_name

    names = ["scores", "a.b-c", "../up", "a/b", ".hidden", "", "a" * 100, "output1"]
    assert [_file_name(index, name) for index, name in enumerate(names)] == [
        "scores.npy",
        "a.b-c.npy",
        "output2.npy",
        "output3.npy",
        "output4.npy",
        "output5.npy",
        "output6.npy",
        "output7.npy",
    ]


def test_verify_repeats_the_proof(road: Path, ask: Ask) -> None:
    for name in ("float", "int8"):
        result = ask("verify", road / name)
        assert result["passed"]
        assert result["outputs"][0]["correct_ratio"] == 1.0


def test_verify_refuses_a_changed_file(road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(road / "int8", tmp_path / "copy")
    params = bytearray((copy / "deploy.params").read_bytes())
    params[len(params) // 2] ^= 1
    (copy / "deploy.params").write_bytes(params)
    assert main(["verify", str(copy)]) == 2
    assert "deploy.params: has changed" in capsys.readouterr().err


def test_bench_measures_as_many_runs_as_were_asked_for(
    road: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    for runs in (1, 7, 20):
        result = ask("bench", road / "int8", "--runs", runs, "--threads", 1)
        assert result["runs"] == runs
        assert (result["threads"], result["isa"]) == (1, result["isa"])
        assert 0 < result["median"] <= result["p90"] <= result["p95"] <= result["p99"] < 1
    assert main(["bench", str(road / "int8"), "--runs", "20"]) == 0
    out = capsys.readouterr().out
    assert all(heading in out for heading in ("mean", "median", "p90", "p95", "p99", "cv"))


def test_bench_warns_of_an_unsteady_machine(
    road: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from openwork.deploy import Latency

    for cv, warned in ((0.5, True), (0.01, False)):
        latency = Latency(10, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, cv)
        monkeypatch.setattr("openwork.deploy.measure", lambda *_, latency=latency, **__: {"openwork": latency})
        assert main(["bench", str(road / "int8")]) == 0
        assert ("warning: latency varies by 50%" in capsys.readouterr().err) == warned
