"""quantize: strategies, calibrators and tables."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from openwork.cli import main
from openwork.cli.commands.quantize import CALIBRATORS
from openwork.cli.options import STRATEGIES
from openwork.exporters import save_onnx
from openwork.frontends import load_model
from openwork.graph import rounding_of
from openwork.quantization import METHODS, CalibrationTable
from openwork.quantization import STRATEGIES as KNOWN_STRATEGIES
from tests.cli.conftest import Ask
from tests.quantization.analysis.test_constant import INNER
from tests.quantization.test_sharing import data


@pytest.mark.parametrize("calibrator", CALIBRATORS)
def test_quantize_tells_how_far_the_output_moved(calibrator: str, road: Path, tmp_path: Path, ask: Ask) -> None:
    result = ask(
        "quantize",
        road / "float.onnx",
        *("--data", road / "images.npy", "-o", tmp_path / "q.onnx", "--calibrator", calibrator),
    )
    assert 0 < result["distances"]["scores"] < 0.01
    assert (result["method"], result["strategy"], result["samples"]) == (calibrator, "int8", 8)
    operators = {node.op_type for node in onnx.load(tmp_path / "q.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators


def test_help_names_what_there_is() -> None:
    assert STRATEGIES == KNOWN_STRATEGIES
    assert tuple(METHODS) == CALIBRATORS


@pytest.mark.parametrize(
    ("arguments", "activation", "weight", "limit"),
    [
        ("--strategy minmax", "int8", "int8", 0.01),
        ("--strategy symmetry_max_t --weights perchannel", "int8", "int8", 0.01),
        ("--strategy scale_shift", "int8", "int8", 0.03),
        ("--strategy fx16", "int16", "int16", 1e-6),
        ("--weight-bits 4 --activation-bits 16", "int16", "int4", 0.1),
        ("--strategy mixed --fx8-share 0", "int16", "int16", 1e-6),
        ("--strategy mixed --least-sqnr -100", "int8", "int8", 0.03),
        ("--strategy null", "float32", "float32", 1e-9),
    ],
)
def test_strategies(
    arguments: str, activation: str, weight: str, limit: float, road: Path, tmp_path: Path, ask: Ask
) -> None:
    data, output = road / "images.npy", tmp_path / "q.onnx"
    result = ask("quantize", road / "float.onnx", "--data", data, "-o", output, *arguments.split())
    assert result["distances"]["scores"] < limit
    assert {(layer["activation"], layer["weight"]) for layer in result["layers"]} == {(activation, weight)}
    assert all(layer["zeros_kept"] and layer["pattern"] == "unstructured" for layer in result["layers"])
    shifts = any(name in arguments for name in ("scale_shift", "fx", "mixed"))
    assert rounding_of(load_model(output)) == ("shift" if shifts else "float32")


def test_a_saved_table_stands_for_the_data(road: Path, tmp_path: Path, ask: Ask) -> None:
    model, table = road / "float.onnx", tmp_path / "table.json"
    ask("quantize", model, "--data", road / "images.npy", "-o", tmp_path / "one.onnx", "--save-table", table)
    result = ask("quantize", model, "--table", table, "-o", tmp_path / "other.onnx")
    assert result["distances"] is None
    assert result["samples"] == 8
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


def test_tables_of_shards_are_merged(road: Path, tmp_path: Path, ask: Ask) -> None:
    images = np.load(road / "images.npy")
    model = road / "float.onnx"
    for index, part in enumerate(np.array_split(images, 3)):
        np.save(tmp_path / f"{index}.npy", part)
        calibrated = ["--data", tmp_path / f"{index}.npy", "--save-table", tmp_path / f"{index}.json"]
        ask("quantize", model, *calibrated, "-o", tmp_path / "part.onnx", "--calibrator", "kl")
    merging = ["--merge-table", tmp_path / "1.json", "--merge-table", tmp_path / "2.json"]
    for first in (["--table", tmp_path / "0.json"], ["--data", tmp_path / "0.npy", "--calibrator", "kl"]):
        result = ask(
            "quantize", model, *first, *merging, "-o", tmp_path / "q.onnx", "--save-table", tmp_path / "t.json"
        )
        assert result["samples"] == 8
        whole = ["--data", road / "images.npy", "--calibrator", "kl", "--save-table", tmp_path / "whole.json"]
        ask("quantize", model, *whole, "-o", tmp_path / "whole.onnx")
        assert (tmp_path / "t.json").read_text() == (tmp_path / "whole.json").read_text()
        assert (tmp_path / "q.onnx").read_bytes() == (tmp_path / "whole.onnx").read_bytes()
    assert set(CalibrationTable.load(tmp_path / "t.json").ranges) == set(
        json.loads((tmp_path / "t.json").read_text())["tensors"]
    )


def test_a_table_to_merge_is_taken_alone(road: Path, tmp_path: Path, ask: Ask) -> None:
    known = ["--data", road / "images.npy", "--save-table", tmp_path / "t.json", "-o", tmp_path / "one.onnx"]
    ask("quantize", road / "float.onnx", *known)
    ask("quantize", road / "float.onnx", "--merge-table", tmp_path / "t.json", "-o", tmp_path / "other.onnx")
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


def test_an_excluded_layer_is_told_as_float(road: Path, tmp_path: Path, ask: Ask) -> None:
    layers = ask("inspect", road / "float.onnx")["layers"]
    excluded = layers[1]["name"]
    result = ask(
        "quantize",
        road / "float.onnx",
        *("--data", road / "images.npy", "-o", tmp_path / "q.onnx", "--exclude", excluded),
    )
    kinds = {layer["name"]: layer["activation"] for layer in result["layers"]}
    assert kinds == {layer["name"]: "float32" if layer["name"] == excluded else "uint8" for layer in layers}


def test_people_see_a_line_for_each_layer(road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"quantize {road}/float.onnx --data {road}/images.npy -o {tmp_path}/q.onnx --exclude Conv_1"
    assert main(command.split()) == 0
    out = capsys.readouterr().out
    assert out.count("kept") == 4
    assert out.count("float32") == 2
    assert "unstructured" in out and "scores" in out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("", "Missing option '--data'"),
        ("--data {e}", "empty.npy: has 0 samples"),
        ("--table {t} --calibrator mse", "--calibrator does nothing here: the ranges come from a table"),
        ("--merge-table {t} --calibrator mse", "--calibrator does nothing here"),
        ("--table {t} --least-sqnr 3", "--least-sqnr does nothing here: it is for --strategy mixed"),
        ("--table {t} --fx8-share 0.5", "--fx8-share does nothing here"),
        ("--data {e} --strategy mixed --least-sqnr 3 --fx8-share 1", "--fx8-share chooses the layers"),
        ("--table {t} --strategy mixed", "give --data"),
        ("--table {t}.none", "cannot be read"),
        ("--table {m}", "is no JSON"),
        ("--table {t} --exclude Conv_9", "is it 'Conv_"),
        ("--table {t} --merge-table {kl}", "calibrate all with one method"),
        ("--table {t} --strategy fast", "is not one of"),
        ("--table {t} --weight-bits 5", "is not one of"),
        ("--table {t} --save-table {m}/x", "float.onnx: is a file, not a directory"),
    ],
)
def test_quantize_refuses(
    arguments: str, reason: str, road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, table, other = f"{road}/float.onnx", f"{tmp_path}/table.json", f"{tmp_path}/kl.json"
    for method, path in (("minmax", table), ("kl", other)):
        calibrated = f"--data {road}/images.npy --calibrator {method} --save-table {path}"
        assert main(f"quantize {model} {calibrated} -o {tmp_path}/q.onnx".split()) == 0
    np.save(tmp_path / "empty.npy", np.zeros((0, 3, 16, 16), np.float32))
    capsys.readouterr()
    rest = arguments.format(t=table, m=model, kl=other, e=tmp_path / "empty.npy")
    assert main(f"quantize {model} -o {tmp_path}/refused.onnx {rest}".split()) == 2
    assert reason in capsys.readouterr().err
    assert not (tmp_path / "refused.onnx").exists()


def test_quantize_takes_a_folder_of_images(road: Path, tmp_path: Path, ask: Ask) -> None:
    generator = np.random.default_rng(0)
    for index in range(3):
        pixels = generator.integers(0, 256, (20, 24, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index}.png")
    model = road / "float.onnx"
    images = ("--data", tmp_path, "--mean", "128", "--scale", "64,64,64")
    result = ask("quantize", model, *images, "-o", tmp_path / "q.onnx")
    assert result["distances"]["scores"] < 0.05


def test_quantize_refuses_data_of_another_shape(road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    model, data = str(road / "float.onnx"), str(tmp_path / "x.npy")
    assert main(["quantize", model, "--data", data, "-o", str(tmp_path / "q.onnx")]) == 2
    assert "x.npy" in capsys.readouterr().err
    assert not (tmp_path / "q.onnx").exists()


def test_written_models_tell_their_sparsity(road: Path) -> None:
    props = {prop.key: prop.value for prop in onnx.load(road / "int8.onnx").metadata_props}
    assert float(props["openwork.sparsity"]) == pytest.approx(0.9, abs=0.02)
    assert int(props["openwork.effective_macs"]) < int(props["openwork.macs"])


def test_a_branch_that_is_lost_is_named_on_the_way(
    tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    """One convolution reads boxes and scores through one scale."""
    save_onnx(INNER, tmp_path / "float.onnx")
    np.save(tmp_path / "x.npy", np.concatenate([batch["x"] for batch in data()]))
    files = [tmp_path / "float.onnx", "--data", tmp_path / "x.npy"]
    result = ask("quantize", *files, "-o", tmp_path / "int8.onnx")
    assert result["distances"]["y"] < 1e-3
    (part,) = result["constant"]
    assert (part["tensor"], part["part"], part["value"]) == ("z", "input 's'", 0)
    assert main(["quantize", *map(str, files), "-o", str(tmp_path / "int8.onnx")]) == 0
    assert "warning: 'z', input 's': always 0 instead of" in capsys.readouterr().err
    analysis = ask("analyse", files[0], tmp_path / "int8.onnx", *files[1:])
    assert analysis["worst"] == {"tensor": "z", "part": "input 's'", "psnr": None, "grade": "poor"}
    assert analysis["constant"] == [part]
    [joined] = [layer for layer in analysis["layers"] if layer["tensor"] == "z"]
    assert joined["grade"] == "poor" and joined["accumulated_psnr"] > 30 > joined["worst_psnr"]
    assert main(["analyse", *map(str, (files[0], tmp_path / "int8.onnx", *files[1:]))]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-2] == "worst: 'z', input 's', PSNR none, poor"
    assert "'z', input 's': always 0" in told.err


def test_weights_for_onnxruntime_on_x86(road: Path, tmp_path: Path, ask: Ask) -> None:
    files = [road / "float.onnx", "--data", road / "images.npy", "-o", tmp_path / "q.onnx", "--for", "onnxruntime-x86"]
    assert ask("quantize", *files)["distances"]["scores"] < 0.01
    weights = [onnx.numpy_helper.to_array(each) for each in onnx.load(tmp_path / "q.onnx").graph.initializer]
    assert max(np.abs(array.astype(int)).max() for array in weights if array.dtype == np.int8 and array.ndim > 1) == 63
    assert main(["quantize", *map(str, files), "--strategy", "fx16"]) == 2
