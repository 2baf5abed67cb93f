"""A TFLite model on its way through the command line: channels last, integers of its own rounding."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openwork.cli import main
from openwork.deploy import open_artifact
from tests.cli.conftest import Ask
from tests.frontends.tflite_files import File, MicroPeer, Operator

PIXELS = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3), dtype=np.uint8)
NAMES = [f"{index}.png" for index in range(4)]


def means(dtype: str) -> bytes:
    """The mean of each colour of [1, 5, 6, 3], as scores [1, 3]; integers stand for pixels."""
    file, scale = File(), {} if dtype == "float32" else {"scale": [1.0], "zero_point": [-128]}
    file.add("serving_default_x:0", (1, 5, 6, 3), dtype, **scale)
    file.add("axes", (2,), "int32", np.array([1, 2], np.int32))
    file.add("StatefulPartitionedCall:0", (1, 3), dtype, **scale)
    file.operators.append(Operator("MEAN", [0, 1], [2], "ReducerOptions", {"KeepDims": False}))
    file.inputs, file.outputs = [0], [2]
    return file.content()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """int8.tflite and its artifacts, float.tflite, the pictures, and a list of them with the strongest colours."""
    folder = tmp_path_factory.mktemp("tflite")
    for dtype in ("int8", "float32"):
        (folder / f"{dtype}.tflite").write_bytes(means(dtype))
    (folder / "pictures").mkdir()
    for name, pixels in zip(NAMES, PIXELS, strict=True):
        Image.fromarray(pixels).save(folder / "pictures" / name)
    labels = PIXELS.mean((1, 2)).argmax(1)
    lines = (f"pictures/{name} {label}\n" for name, label in zip(NAMES, labels, strict=True))
    (folder / "test.list").write_text("".join(lines))
    assert main(["compile", str(folder / "int8.tflite"), "-o", str(folder / "deploy")]) == 0
    return folder


def test_run_feeds_pixels_as_the_integers_that_stand_for_them(folder: Path, tmp_path: Path, ask: Ask) -> None:
    command = ("run", folder / "deploy", "--input", folder / "pictures", "--scale", 1, "-o", tmp_path / "out")
    [output] = ask(*command)["outputs"]
    peer = MicroPeer(means("int8"))
    expected = [peer.run([(pixels[None].astype(np.int16) - 128).astype(np.int8)])[0][0] for pixels in PIXELS]
    np.testing.assert_array_equal(np.load(output["file"]), expected)
    assert open_artifact(folder / "deploy").inputs[0].quantization == (1.0, -128, "int8")


@pytest.mark.parametrize("model", ["int8.tflite", "float32.tflite", "deploy"])
def test_evaluate_takes_a_list_of_images(model: str, folder: Path, ask: Ask) -> None:
    command = ("evaluate", folder / model, "--data", folder / "test.list", "--scale", 1)
    [result] = ask(*command)["results"]
    assert (result["top1"], result["count"]) == (1.0, 4)


def test_quantize_and_analyse_take_images(folder: Path, tmp_path: Path, ask: Ask) -> None:
    model, data = folder / "float32.tflite", ("--data", folder / "pictures", "--scale", 1)
    quantized = ask("quantize", model, *data, "-o", tmp_path / "q.onnx")
    assert quantized["samples"] == 4 and quantized["distances"]["StatefulPartitionedCall:0"] < 1e-4
    assert ask("analyse", model, tmp_path / "q.onnx", *data)["batches"] == 4
    assert ask("compare", model, tmp_path / "q.onnx")["passed"]


def test_compare_runs_a_model_in_integers_of_its_own_rounding(
    folder: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    """To the bit; onnxruntime, which rounds means half to even, would be a step away."""
    pair = (folder / "int8.tflite", folder / "deploy")
    for seed in range(5):
        assert ask("compare", *pair, "--seed", seed, "--within", 0)["passed"]
    assert ask("compare", *reversed(pair), "--input", folder / "pictures", "--scale", 1, "--within", 0)["passed"]
    capsys.readouterr()
    assert main(["compare", *map(str, pair)]) == 0
    assert "int8.tflite: original file with ai-edge-litert" in capsys.readouterr().err


CONFIG = """
MODEL: {{graph: {folder}/float32.tflite}}
QUAN:
    strategy: symmetry_max
    qconfig: {{image_path: {folder}/pictures}}
EVALUATION:
    input_images: {folder}/pictures
    image_file: {folder}/test.list
    input_node: serving_default_x:0
    output_node: StatefulPartitionedCall:0
SAVE_PATH: {out}/q.onnx
"""


def test_a_configuration_names_tensors_as_tensorflow_does(folder: Path, tmp_path: Path, ask: Ask) -> None:
    (tmp_path / "c.yml").write_text(CONFIG.format(folder=folder, out=tmp_path))
    options = ("--config", tmp_path / "c.yml", "--scale", 1)
    assert ask("quantize", *options)["samples"] == 4
    assert ask("analyse", *options)["final_distance"] < 1e-4
    [result] = ask("evaluate", *options)["results"]
    assert (result["top1"], result["count"]) == (1.0, 4)
