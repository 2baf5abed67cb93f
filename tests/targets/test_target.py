import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from openwork.errors import TargetError
from openwork.targets import load_target, read_target, target_names


def write_changed(directory: Path, **changes: Any) -> Path:
    """The description of the cpu with some entries changed; None takes an entry away."""
    entries = asdict(load_target("cpu")) | changes
    entries["instruction_sets"] = changes.get("instruction_sets", ["avx2"])
    path = directory / "cpu.yaml"
    path.write_text(yaml.safe_dump({key: value for key, value in entries.items() if value is not None}))
    return path


def test_every_description_is_valid_and_named_after_its_file() -> None:
    assert "cpu" in target_names()
    for name in target_names():
        assert load_target(name).name == name


def test_the_cpu_offers_its_instruction_sets_best_first() -> None:
    assert load_target("cpu").instruction_sets == ("avx512vnni", "avx512", "avx2", "portable")


@pytest.mark.parametrize("name", ["gpu", "", "../cpu", "cpu.yaml"])
def test_an_unknown_target_is_an_error_that_lists_the_known_ones(name: str) -> None:
    with pytest.raises(TargetError, match="choose one of cpu"):
        load_target(name)


@pytest.mark.parametrize(
    "changes",
    [
        {"colour": "red"},
        {"triple": None},
        {"triple": 7},
        {"name": "other"},
        {"family": "gpu"},
        {"requantize": ["float32", "q63"]},
        {"requantize": "q31"},
        {"requantize": []},
        {"instruction_sets": "avx2"},
        {"instruction_sets": []},
    ],
)
def test_a_wrong_description_is_an_error_naming_the_entry(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(TargetError, match=next(iter(changes)) if "colour" not in changes else "exactly"):
        read_target(write_changed(tmp_path, **changes))


def test_an_unchanged_description_is_read(tmp_path: Path) -> None:
    assert read_target(write_changed(tmp_path)).instruction_sets == ("avx2",)


@pytest.mark.parametrize("content", [b"[1, 2", b"- 1\n", b"\xff\xfe\x00", b"!!python/object:os.system {}"])
def test_a_file_that_is_no_description_is_a_one_line_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cpu.yaml"
    path.write_bytes(content)
    with pytest.raises(TargetError) as caught:
        read_target(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["[" * 20_000, "{a: " * 20_000, "name: 2001-99-99", "\x00", "&a [*a]"])
def test_hostile_yaml(content: str, tmp_path: Path) -> None:
    (tmp_path / "cpu.yaml").write_text(content)
    with pytest.raises(TargetError) as caught:
        read_target(tmp_path / "cpu.yaml")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000


def test_a_pipe_is_no_description(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cpu.yaml")
    with pytest.raises(TargetError, match="Not a regular file"):
        read_target(tmp_path / "cpu.yaml")
