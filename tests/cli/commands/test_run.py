from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from openwork.cli import main
from openwork.frontends import load_model
from openwork.graph import evaluate
from tests.cli.conftest import Ask


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


def save_text(path: Path, text: str) -> None:
    onnx.save(onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : 20]> network {text}'), path)


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
    assert "its first dimension is no batch" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


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
