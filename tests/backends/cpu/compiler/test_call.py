"""A compiler that waits, hangs, or is left behind; programs that are no compiler play it."""

import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from openwork.backends.cpu.compiler import Source, compile_executable, compile_objects, find_compiler, link_library
from openwork.backends.cpu.compiler import call as calling
from openwork.backends.cpu.compiler.cache import cache_directory
from openwork.errors import BuildError
from openwork.targets import load_target

TRIPLE = load_target("cpu").triple
OUTPUT = 'while [ "$1" != -o ]; do shift; done; output="$2"'


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENWORK_CACHE", str(tmp_path / "cache"))
    return cache_directory()


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A shell script in the compiler's place."""

    def make(text):
        for name in ("any.c", "any.o"):
            (tmp_path / name).touch()
        path = tmp_path / "cc"
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        monkeypatch.setenv("OPENWORK_CC", str(path))
        return find_compiler(TRIPLE)

    return make


def lives(process):
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def gone(process):
    """Whether a process has ended, which it may take a moment to."""
    until = time.monotonic() + 20
    while lives(process) and time.monotonic() < until:
        time.sleep(0.01)
    return not lives(process)


def test_a_compiler_that_waits_is_told_of_once(tmp_path, compiler, monkeypatch, caplog):
    monkeypatch.setattr(calling, "PATIENCE", 0.5)
    waiting = compiler(f"{OUTPUT}; sleep 1.7; echo done > $output")
    link_library(waiting, [tmp_path / "any.o"], tmp_path / "any.so")
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for the C compiler (any.so), which waits for something itself"
    ]


def test_a_compiler_that_works_is_left_alone(tmp_path, compiler, monkeypatch, caplog):
    monkeypatch.setattr(calling, "STALLED", 1.5)
    busy = compiler(f"{OUTPUT}; i=0; while [ $(($(date +%s) - {int(time.time())})) -lt 3 ]; do :; done; echo > $output")
    link_library(busy, [tmp_path / "any.o"], tmp_path / "any.so")


@pytest.mark.parametrize(
    ("limit", "text", "told"),
    [("STALLED", "sleep 1000", "has done nothing for"), ("LIMIT", "while :; do :; done", "has worked for")],
)
def test_a_compiler_that_hangs_is_ended_with_its_children(tmp_path, compiler, monkeypatch, limit, text, told):
    monkeypatch.setattr(calling, limit, 1.0)
    hanging = compiler(f"({text}) & echo $! > {tmp_path}/child; wait")
    with pytest.raises(BuildError, match=f"C compiler {told} . s on any and was ended; end others"):
        compile_executable(hanging, Source(tmp_path / "any.c"), tmp_path / "any")
    assert gone(int((tmp_path / "child").read_text()))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_compiler_outlives_a_killed_compilation(tmp_path, compiler, number):
    compiler(f"sleep 1000 & echo $! > {tmp_path}/new; mv {tmp_path}/new {tmp_path}/child; wait")
    program = (
        "from pathlib import Path\n"
        "from openwork.backends.cpu.compiler import Source, compile_objects, find_compiler\n"
        f"folder = Path({str(tmp_path)!r})\n"
        f"compile_objects(find_compiler({TRIPLE!r}), [Source(folder / 'any.c')], folder)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as process:
        while not (tmp_path / "child").exists() and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, number)
    assert process.returncode != 0
    assert gone(int((tmp_path / "child").read_text()))


def test_where_one_file_fails_the_others_are_given_up(tmp_path, compiler):
    failing = compiler(
        f"case $* in *bad.c*) while ! [ -e {tmp_path}/slow ]; do sleep 0.01; done; exit 1;; esac\n"
        f"touch {tmp_path}/slow; sleep 1000"
    )
    for name in ("bad.c", "slow.c"):
        (tmp_path / name).touch()
    with pytest.raises(BuildError, match=r"C compiler failed on bad\.c: exit status 1"):
        compile_objects(failing, [Source(tmp_path / "bad.c"), Source(tmp_path / "slow.c")], tmp_path)


def test_what_is_no_program_is_told(tmp_path, compiler):
    odd = compiler("")
    Path(odd.command[0]).write_bytes(b"\x7fELF")
    with pytest.raises(BuildError, match=r"error: .*cc cannot be run \(Exec format error\); check OPENWORK_CC"):
        link_library(odd, [tmp_path / "any.o"], tmp_path / "any.so")


def test_libraries_that_a_compiler_built_are_kept_and_built_again_when_damaged(tmp_path, compiler, cache):
    builder = compiler(
        f"{OUTPUT}; folder=$ZIG_GLOBAL_CACHE_DIR/o/1\n"
        f"[ -e $folder ] || {{ mkdir -p $folder; echo sound > $folder/library.a; echo >> {tmp_path}/built; }}\n"
        "mkdir -p $ZIG_GLOBAL_CACHE_DIR/z; touch $ZIG_GLOBAL_CACHE_DIR/z/only; cat $folder/library.a > $output"
    )

    def linked():
        (tmp_path / "any.o").write_text(str(next(numbers)))  # another library each time
        link_library(builder, [tmp_path / "any.o"], tmp_path / "any.so")
        assert (tmp_path / "any.so").read_text() == "sound\n"
        return len((tmp_path / "built").read_text())

    numbers = count()
    assert [linked(), linked()] == [1, 1]
    [kept] = [path for path in (cache / "kept").iterdir() if b"library.a" in path.read_bytes()]
    content = kept.read_bytes()
    assert content.count(b"sound") == 1 and b"only" not in content
    for number, damaged in enumerate((content.replace(b"sound", b"bound"), b"", content[:-1]), 2):
        kept.write_bytes(damaged)
        assert [linked(), linked()] == [number, number]
    assert [path.name for path in cache.iterdir()] == ["kept"]
