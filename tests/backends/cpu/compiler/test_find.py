"""Finding the C compiler."""

import os
from pathlib import Path

import pytest

from openwork.backends.cpu.compiler import find_compiler
from openwork.errors import BuildError
from openwork.targets import load_target

TRIPLE = load_target("cpu").triple


def test_ziglang_is_the_default(monkeypatch):
    monkeypatch.delenv("OPENWORK_CC", raising=False)
    program, *arguments = find_compiler(TRIPLE).command
    assert os.access(program, os.X_OK) and Path(program).parent.name == "ziglang"
    assert arguments == ["cc", "-target", TRIPLE]


@pytest.mark.parametrize("name", ["/nowhere/cc", "no-such-compiler"])
def test_a_missing_compiler_is_told(monkeypatch, name):
    monkeypatch.setenv("OPENWORK_CC", name)
    with pytest.raises(BuildError, match=f"OPENWORK_CC={name}: no such compiler"):
        find_compiler(TRIPLE)


def test_a_compiler_planted_in_the_current_folder_is_not_run(tmp_path, monkeypatch):
    planted = tmp_path / "gcc-planted"
    planted.write_text("#!/bin/sh\ntouch was-run\n")
    planted.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f".{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OPENWORK_CC", "gcc-planted")
    with pytest.raises(BuildError, match="no such compiler"):
        find_compiler(TRIPLE)
