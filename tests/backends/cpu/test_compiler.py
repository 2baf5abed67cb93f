"""Finding the C compiler, and the cache of objects."""

import os
import sys

import pytest

from openwork.backends.cpu.compiler import (
    Source,
    cache_directory,
    compile_executable,
    compile_objects,
    find_compiler,
    link_library,
)
from openwork.errors import BuildError
from openwork.targets import load_target

TRIPLE = load_target("cpu").triple


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENWORK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_ziglang_is_the_default(monkeypatch):
    monkeypatch.delenv("OPENWORK_CC", raising=False)
    assert find_compiler(TRIPLE).command[:3] == (sys.executable, "-m", "ziglang")


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


def test_a_cache_that_others_can_write_is_refused(cache):
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    with pytest.raises(BuildError, match="others may write to this cache"):
        cache_directory()


def test_objects_are_compiled_once_and_again_when_a_header_changes(tmp_path, cache, monkeypatch):
    include = tmp_path / "include"
    include.mkdir()
    (include / "answer.h").write_text("#define ANSWER 42\n")
    code = tmp_path / "answer.c"
    code.write_text('#include "answer.h"\nint answer(void) { return ANSWER; }\n')
    source = Source(code, (), (include,))
    (first,) = compile_objects(find_compiler(TRIPLE), [source])
    stamp = first.stat().st_mtime_ns
    (again,) = compile_objects(find_compiler(TRIPLE), [source])
    assert (again, again.stat().st_mtime_ns) == (first, stamp)
    (include / "answer.h").write_text("#define ANSWER 43\n")
    (changed,) = compile_objects(find_compiler(TRIPLE), [source])
    assert changed != first
    link_library(find_compiler(TRIPLE), [changed], tmp_path / "answer.so")
    assert (tmp_path / "answer.so").stat().st_size > 0


def test_another_target_has_objects_of_its_own(tmp_path, cache):
    code = tmp_path / "answer.c"
    code.write_text("int answer(void) { return 42; }\n")
    triples = (TRIPLE, "aarch64-linux-gnu")
    assert len({compile_objects(find_compiler(triple), [Source(code)])[0] for triple in triples}) == 2


def test_an_error_names_the_file_and_the_first_cause(tmp_path, cache):
    code = tmp_path / "broken.c"
    code.write_text("int broken(void) { return undeclared; }\n")
    with pytest.raises(BuildError, match=r"C compiler failed on broken\.c: .*undeclared") as caught:
        compile_objects(find_compiler(TRIPLE), [Source(code)])
    assert "\n" not in str(caught.value)
    assert not list((cache / "objects").iterdir())


def test_a_compiler_that_writes_nothing_has_failed(tmp_path, cache, monkeypatch):
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 0\n")
    silent.chmod(0o755)
    monkeypatch.setenv("OPENWORK_CC", str(silent))
    with pytest.raises(BuildError, match="C compiler failed on program"):
        compile_executable(find_compiler(TRIPLE), [tmp_path / "any.c"], tmp_path / "program")
