"""The guide to the JSON of the command line tells exactly the fields that are printed."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Ask

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "json.md"

COMMANDS = {
    "inspect": "{road}/float.onnx",
    "optimize": "{road}/float.onnx -o {new}",
    "quantize": "{road}/float.onnx --data {road}/images.npy -o {new}",
    "analyse": "{road}/float.onnx {road}/int8.onnx --data {road}/images.npy",
    "evaluate": "{road}/float.onnx --data {road}/images.npy --labels {road}/labels.npy",
    "compile": "{road}/float.onnx -o {new}",
    "run": "{road}/float --input {road}/images.npy -o {new}",
    "verify": "{road}/float",
    "bench": "{road}/float --runs 2",
    "compare": "{road}/float {road}/float.onnx",
    "targets": "",
    "operators": "",
}


def documented(command: str) -> set[str]:
    [row] = re.findall(rf"^\| `{command}` \| (.*) \|$", GUIDE.read_text(), re.MULTILINE)
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row)))


@pytest.mark.parametrize("command", COMMANDS)
def test_the_guide_tells_the_fields(command: str, road: Path, tmp_path: Path, ask: Ask) -> None:
    np.save(road / "labels.npy", np.zeros(8, np.int64))
    arguments = COMMANDS[command].format(road=road, new=tmp_path / "new").split()
    assert set(ask(command, *arguments)) - {"schema_version"} == documented(command)


def test_the_guide_tells_the_fields_of_layers_and_outputs(road: Path, ask: Ask) -> None:
    text = GUIDE.read_text()
    [layer] = ask("inspect", road / "float.onnx")["layers"][:1]
    [output] = ask("verify", road / "float")["outputs"]
    for kind, fields in (("layer", layer), ("output", output)):
        [sentence] = re.findall(rf"\*{kind}\*[^.]*\.", text)
        assert set(re.findall(r"`(\w+)`", sentence)) == set(fields)
