"""What dead processes left is collected, what living ones use is not."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from openwork.errors import ArtifactError
from openwork.files import temporary_directory, write_whole
from openwork.files.temporary import only_writer, temporary_file

LIVING = """
import sys, time
from pathlib import Path
from openwork.files.temporary import only_writer, temporary_directory, temporary_file
folder = Path(sys.argv[1])
with temporary_file(folder, "x") as (file, _), temporary_directory(folder, "x") as inner, only_writer(folder / "x"):
    (inner / "file").touch()
    print("ready", flush=True)
    time.sleep(1000)
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_entries_are_collected_when_their_process_has_died_and_not_before(tmp_path: Path) -> None:
    mine = (".x.old.openwork", ".x.abcdefgh", "x.abcdefgh.openwork", ".x.lock", ".x.ABCDEFGH.openwork")
    for name in mine:
        (tmp_path / name).touch()
    command = [sys.executable, "-c", LIVING, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        write_whole(tmp_path / "y", "content")
        living = sorted({*names(tmp_path)} - {*mine, "y"})
        assert len(living) == 3 and ".x.lock.openwork" in living
        with pytest.raises(ArtifactError, match="another openwork is writing"), only_writer(tmp_path / "x"):
            pass
        os.kill(process.pid, signal.SIGKILL)
    assert {*living} <= {*names(tmp_path)}
    write_whole(tmp_path / "y", "content")
    assert names(tmp_path) == sorted([*mine, "y"])


def test_a_lock_that_a_dead_process_left_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".x.lock.openwork").touch()
    with only_writer(tmp_path / "x"):
        assert names(tmp_path) == [".x.lock.openwork"]
    assert names(tmp_path) == []


def test_links_and_pipes_of_such_a_name_harm_nobody(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / ".x.abcdefgh.openwork").symlink_to("precious")
    os.mkfifo(tmp_path / ".y.abcdefgh.openwork")
    write_whole(tmp_path / "x", "content")
    assert (tmp_path / "precious" / "file").exists()


def test_a_file_system_without_locks_can_be_written_and_nothing_there_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(handle: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    (tmp_path / ".x.abcdefgh.openwork").touch()
    monkeypatch.setattr("fcntl.flock", unsupported)
    with only_writer(tmp_path / "x"), temporary_file(tmp_path, "x"), temporary_directory(tmp_path, "x"):
        assert len(names(tmp_path)) == 4
    assert names(tmp_path) == [".x.abcdefgh.openwork"]
