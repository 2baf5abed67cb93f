"""The test program inference.cpp, built with CMake as a user would, and run on hand-written artifacts."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from openwork.backends.cpu.kernels import CSRC
from openwork.deploy.artifact import canonical
from openwork.deploy.tensors import write_tensor
from tests.deploy import tiny


@pytest.fixture(scope="module")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from an artifact's own files, with warnings as errors."""
    folder = tmp_path_factory.mktemp("inference")
    source = tiny.write_artifact(folder / "deploy").directory
    cmake = str(Path(sys.executable).parent / "cmake")
    flags = "-DCMAKE_CXX_FLAGS=-Werror -Wconversion"
    environment = dict(os.environ)
    if shutil.which("g++") is None:
        environment["CXX"] = f"{sys.executable} -m ziglang c++"
    for command in (
        [cmake, "-S", str(source), "-B", str(folder / "build"), flags],
        [cmake, "--build", str(folder / "build")],
    ):
        subprocess.run(command, check=True, capture_output=True, env=environment)
    return folder / "build" / "inference"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tiny.write_artifact(tmp_path / "deploy").directory


def run(inference: Path, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(inference), *map(str, arguments)], capture_output=True, text=True)


def figures(output: str, name: str) -> list[float]:
    return [float(figure) for figure in re.findall(rf"{name}: (\S+)$", output, re.MULTILINE)]


def test_it_prints_the_lines_of_the_guide(inference: Path, directory: Path) -> None:
    done = run(inference, directory)
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    assert all(re.match(r"\[\d\d:\d\d:\d\d\] \S*inference\.cpp:\d+: ", line) for line in lines)
    texts = [line.split(": ", 1)[1] for line in lines]
    assert texts[:6] == [
        "Loading json data...",
        "Loading runtime module...",
        "Loading parameters...",
        "Loading input...",
        "Warming up...",
        "Running 100 times...",
    ]
    assert re.fullmatch(r"Took [\d.e-]+ msec\.", texts[6])
    assert texts[7:] == ["max abs diff: 0", "mean abs diff: 0", "correct ratio: 1"] * 2


def test_a_trailing_slash_and_a_relative_path_are_fine(inference: Path, directory: Path) -> None:
    done = subprocess.run([str(inference), f"{directory.name}/"], cwd=directory.parent, capture_output=True)
    assert done.returncode == 0


def test_a_mismatch_is_told_and_gives_status_1(inference: Path, directory: Path) -> None:
    y, _ = tiny.expected(tiny.inputs())
    wrong = y.copy()
    wrong[1, 2] += 0.5
    write_tensor(directory, tiny.OUTPUTS[0], wrong)
    done = run(inference, directory)
    assert done.returncode == 1
    assert figures(done.stdout, "max abs diff")[0] == pytest.approx(0.5, abs=1e-4)
    assert figures(done.stdout, "correct ratio") == [pytest.approx(5 / 6), 1]


def test_each_output_has_its_own_tolerance(inference: Path, directory: Path) -> None:
    _, z = tiny.expected(tiny.inputs())
    write_tensor(directory, tiny.OUTPUTS[1], np.where(z > 0, z - 1, 1).astype(np.uint8))
    description = {"threads": 1, "tolerance": [1e-6, 1.0], "steps": []}
    assert run(inference, directory).returncode == 1
    (directory / "deploy.json").write_text(canonical(description))
    assert run(inference, directory).returncode == 0


def test_a_nan_is_a_mismatch(inference: Path, directory: Path) -> None:
    (directory / "deploy.params").write_bytes((tiny.WEIGHTS * np.nan).tobytes())
    assert run(inference, directory).returncode == 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deploy.json", None),
        ("deploy.json", b""),
        ("deploy.json", b'{"threads": 1, "tolerance": [0.1]}'),
        ("deploy.json", b'{"threads": 1, "tolerance": []}'),
        ("deploy.json", b'{"threads": 0, "tolerance": [1, 1]}'),
        ("deploy.so", None),
        ("deploy.so", b"no library"),
        ("deploy.params", b"short"),
        ("input1.bin", None),
        ("input1.bin", b"12345"),
        ("ref_result_0.bin", b"1234567"),
    ],
)
def test_a_missing_or_broken_file_gives_status_2_and_one_line(
    inference: Path, directory: Path, name: str, content: bytes | None
) -> None:
    (directory / name).unlink()
    if content is not None:
        (directory / name).write_bytes(content)
    done = run(inference, directory)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(directory) in done.stderr


@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["/" + "x" * 5000], ["nowhere"]])
def test_wrong_arguments_give_status_2_and_one_line(inference: Path, arguments: list[str]) -> None:
    done = run(inference, *arguments)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


def test_the_source_is_found_in_the_package() -> None:
    assert (CSRC / "inference" / "inference.cpp").is_file()
