"""The frame of the command line: start-up, help, exit codes, one-line errors."""

import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from openwork.cli import main
from openwork.cli.app import COMMANDS
from openwork.errors import ModelError, VerificationError

HEAVY = ("numpy", "onnx", "onnx_ir", "onnxruntime", "torch", "matplotlib", "jinja2", "yaml", "rich")


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


def failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `openwork targets` raise `error`."""

    def fail() -> None:
        raise error

    monkeypatch.setattr("openwork.targets.target_names", fail)


@pytest.mark.parametrize("arguments", [["--help"], *([command, "--help"] for command in COMMANDS)])
def test_no_help_imports_a_heavy_package(arguments: list[str]) -> None:
    done = python(
        "import sys; from openwork.cli import main; "
        f"status = main({arguments!r}); "
        f"print(status, [name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_every_help_shows_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [[name]]
    command = importlib.import_module(f"openwork.cli.commands.{name}").command
    if isinstance(command, click.Group):
        commands = [[name, part] for part in command.commands]
    for words in commands:
        assert main([*words, "--help"]) == 0
        text = capsys.readouterr().out
        assert "Example" in text
        assert f"  openwork {' '.join(words)}" in text


def test_every_command_file_is_listed() -> None:
    folder = importlib.import_module("openwork.cli.commands").__path__[0]
    files = {path.stem for path in importlib.import_module("pathlib").Path(folder).glob("[a-z]*.py")}
    assert files == set(COMMANDS)


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Usage: openwork" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["targets", "--nonsense"], ["inspect"]])
def test_wrong_usage_is_one_line_and_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("openwork: ")
    assert err.count("\n") == 1
    assert "--help'" in err


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ModelError("m.onnx: is cut off; copy it again"), 2, "openwork: m.onnx: is cut off; copy it again\n"),
        (VerificationError("y: differs"), 1, "openwork: y: differs\n"),
        (ModelError("a\nb\x1b[2J"), 2, "openwork: a b [2J\n"),
        (KeyboardInterrupt(), 130, "openwork: interrupted\n"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            2,
            "openwork: torch is not installed, and this command needs it; pip install 'openwork[torch]'\n",
        ),
        (
            ModuleNotFoundError("No module named 'transformers'", name="transformers"),
            2,
            "openwork: transformers is not installed, and this command needs it; pip install 'openwork[torch,zoo]'\n",
        ),
        (FileNotFoundError(2, "No such file", "x"), 2, "openwork: x: No such file; give another place\n"),
        (MemoryError("9 TiB"), 2, "openwork: memory: 9 TiB; give smaller shapes or a smaller batch\n"),
    ],
)
def test_errors_are_one_line_with_their_exit_status(
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failing_with(error, monkeypatch)
    assert main(["targets"]) == status
    assert capsys.readouterr().err == line


def test_a_bug_is_one_line_unless_debugged(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    failing_with(ZeroDivisionError("by zero"), monkeypatch)
    assert main(["targets"]) == 2
    assert capsys.readouterr().err == (
        "openwork: internal error, ZeroDivisionError: by zero; run again with --debug for the traceback\n"
    )
    for arguments in (["--debug", "targets"], ["targets", "--debug"]):
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert "Traceback" in err
        assert err.splitlines()[-1].startswith("openwork: internal error, ZeroDivisionError")


def test_a_reader_that_leaves_is_no_error() -> None:
    writer = subprocess.Popen(
        [sys.executable, "-m", "openwork.cli", "targets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert writer.stdout is not None and writer.stderr is not None
    writer.stdout.close()
    with writer.stderr as stderr:
        assert stderr.read() == b""
    assert writer.wait() == 141


@pytest.mark.parametrize(("place", "status"), [(">&-", 0), (">/dev/full", 2)])
def test_without_a_stdout_nothing_is_a_bug(place: str, status: int) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -m openwork.cli targets {place}', sys.executable], capture_output=True, text=True
    )
    assert done.returncode == status
    assert done.stderr == ("openwork: stdout: No space left on device; give another place\n" if status else "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_command_by_an_exception_even_if_a_library_renames_it(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def load() -> None:
        try:
            os.kill(os.getpid(), number)
        except KeyboardInterrupt as interruption:
            raise ImportError("initialization failed") from interruption

    before = signal.getsignal(number)
    monkeypatch.setattr("openwork.targets.target_names", load)
    assert main(["targets"]) == 128 + number
    assert capsys.readouterr().err == "openwork: interrupted\n"
    assert signal.getsignal(number) is before


def test_what_libraries_log_is_shown_for_debugging_only() -> None:
    code = "import logging; from openwork.cli import main; main({}); logging.getLogger('library').warning('hm')"
    assert python(code.format(["targets"])).stderr == ""
    assert "hm" in python(code.format(["targets", "--debug"])).stderr


def test_json_carries_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["schema_version"] == 1
    assert [target["name"] for target in result["targets"]] == ["cpu"]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("compile none.onnx -o folder", "folder: holds other files ('other'); give -o an empty or new directory"),
        ("compile none.onnx -o file", "file: is a file, not a directory; give -o another name"),
        ("quantize none.onnx --table none.json -o folder", "folder: cannot be written (Is a directory)"),
        ("quantize none.onnx --table none.json -o q.onnx --save-table file/t", "file: is a file, not a directory"),
        ("optimize none.onnx -o folder", "folder: cannot be written (Is a directory)"),
        ("run none --input none.npy -o file", "file: is a file, not a directory"),
        ("analyse none.onnx none.onnx --data none.npy -o file/new", "file: is a file, not a directory"),
        ("zoo make none -o folder", "folder: cannot be written (Is a directory)"),
        ("zoo digits -o file", "file: is a file, not a directory"),
        ("operators --markdown file/page.md", "file: is a file, not a directory"),
        ("demo --out file", "file: is a file, not a directory"),
    ],
)
def test_where_to_write_is_checked_before_anything_is_read(
    command: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder").mkdir()
    Path("folder/other").touch()
    assert main(command.split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("openwork: ") and reason in error
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder", "other"]
