"""A model on its way through the command line: float and int8, as ONNX and as artifact."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openwork.cli import main
from openwork.exporters import save_onnx
from tests.quantization.networks import residual_network

Ask = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with float.onnx, int8.onnx, their artifacts `float` and `int8`, and images.npy [8, 3, 16, 16]."""
    folder = tmp_path_factory.mktemp("road")
    save_onnx(residual_network(density=0.1), folder / "float.onnx")
    images = np.random.default_rng(0).standard_normal((8, 3, 16, 16), dtype=np.float32)
    np.save(folder / "images.npy", images)
    for command in (
        f"quantize {folder}/float.onnx --data {folder}/images.npy -o {folder}/int8.onnx",
        f"compile {folder}/float.onnx -o {folder}/float",
        f"compile {folder}/int8.onnx -o {folder}/int8 --threads 1",
    ):
        assert main(command.split()) == 0
    return folder


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Runs a command with --json and returns the object that it prints."""

    def run(*arguments: object, status: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        assert main([*map(str, arguments), "--json"]) == status
        result: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert result["schema_version"] == 1
        return result

    return run
