"""Something new takes the place of something old: one of the two is always there, whatever happens."""

import errno
import os
import random
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import pytest

from openwork.errors import ArtifactError
from openwork.files import put as putting
from openwork.files import whole_directory, write_whole
from openwork.files.put import exchange, recover

FILES = ("first", "second", "third")


def replace(path: Path, text: str) -> None:
    """A directory whose files agree."""
    with whole_directory(path, may_replace=lambda directory: None) as folder:
        for name in FILES:
            (folder / name).write_text(text)


def content(path: Path) -> str:
    """What all files of a whole directory hold."""
    assert sorted(each.name for each in path.iterdir()) == sorted(FILES)
    (text,) = {(path / name).read_text() for name in FILES}
    return text


@pytest.fixture(params=["in one operation", "in two"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to replace a directory."""
    if request.param == "in two":
        monkeypatch.setattr(putting, "exchange", lambda one, other: False)
    return str(request.param)


def test_two_names_are_exchanged_in_one_operation(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a")
    (tmp_path / "folder").mkdir()
    assert exchange(tmp_path / "file", tmp_path / "folder")
    assert (tmp_path / "file").is_dir() and (tmp_path / "folder").read_text() == "a"
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "file", tmp_path / "missing")


def test_what_the_system_cannot_exchange_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert not exchange(tmp_path, tmp_path / "folder")  # EINVAL, as from a file system that cannot at all


@contextmanager
def fault_at(number: int, fault: BaseException, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Let the operation of this number that changes or flushes something fail. Yields the operations so far."""
    done: list[str] = []

    def faulty(name: str, call: Callable[..., object]) -> Callable[..., object]:
        def run(*arguments: object, **options: object) -> object:
            done.append(name)
            if len(done) == number:
                raise fault
            return call(*arguments, **options)

        return run

    with monkeypatch.context() as patch:
        for name in ("open", "mkdir", "fsync", "rename", "replace", "fchmod", "chmod"):
            patch.setattr(os, name, faulty(name, getattr(os, name)))
        patch.setattr(putting, "exchange", faulty("exchange", putting.exchange))
        yield done


@pytest.mark.parametrize("fault", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("old", ["older", None])
def test_what_was_there_survives_a_fault_at_each_operation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, fault: BaseException, old: str | None
) -> None:
    place = tmp_path / "there"
    for number in range(1, 100):
        shutil.rmtree(place, ignore_errors=True) if old is None else replace(place, old)
        with fault_at(number, fault, monkeypatch) as done:
            told = None
            try:
                replace(place, "newer")
            except (ArtifactError, KeyboardInterrupt) as error:
                told = error
        now = content(place) if place.exists() else None
        if isinstance(told, ArtifactError):
            assert now == old, done
        elif told is None:  # some faults do not matter, as when nothing is to be made
            assert now == "newer", done
        else:
            assert now in (old, "newer"), done
        if len(done) < number:
            break  # as many faults as there are operations
    assert number > 15
    replace(place, "newer")
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_file_survives_a_fault_at_each_operation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "there"
    for number in range(1, 100):
        write_whole(place, "older")
        with fault_at(number, OSError(errno.EIO, "Input/output error"), monkeypatch) as done:
            try:
                write_whole(place, "newer")
            except ArtifactError as error:
                assert "there: cannot be written (Input/output error)" in str(error)
                assert place.read_text() == "older", done
            else:
                assert place.read_text() == "newer", done
                if len(done) < number:
                    break
    assert number > 5
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_disk_that_is_full_after_each_number_of_bytes(tmp_path: Path) -> None:
    """The system's own error, which comes with the write or when the file is closed."""
    replace(tmp_path / "there", "older")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for size in (0, 1, 4095, 4096, 9999):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
        try:
            with pytest.raises(ArtifactError, match=r"cannot be written \(File too large\)"):
                replace(tmp_path / "there", "x" * 10_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert content(tmp_path / "there") == "older"
        assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_an_older_directory_is_brought_back_after_a_death_between_two_renames(tmp_path: Path) -> None:
    for meanwhile in (nullcontext, lambda: replace(tmp_path / "there", "newer")):
        replace(tmp_path / "there", "older")
        (tmp_path / "there").rename(putting._older(tmp_path / "there"))
        meanwhile()
        recover(tmp_path / "there")
        assert content(tmp_path / "there") == ("older" if meanwhile is nullcontext else "newer")
        assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_directory_is_whole_whenever_its_writer_is_killed(tmp_path: Path, way: str) -> None:
    place = tmp_path / "there"
    begin = time.monotonic()
    replace(place, "older")
    once = time.monotonic() - begin
    seed = random.randrange(1 << 30)
    print("seed", seed)
    draw = random.Random(seed)
    found = set()
    for death in range(30):
        process = os.fork()
        if process == 0:
            with suppress(BaseException):
                for number in range(100_000):
                    replace(place, f"{death} {number}" * 100)
            os._exit(1)
        time.sleep(draw.uniform(0, 4 * once))
        os.kill(process, signal.SIGKILL)
        assert os.waitpid(process, 0)[1] == signal.SIGKILL
        if way == "in two":
            recover(place)
        found.add(content(place))
    assert found - {"older"}, "no writer came as far as once"
    replace(place, "newest")
    assert content(place) == "newest"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_of_two_writers_at_a_time_each_that_succeeds_was_there(tmp_path: Path) -> None:
    """The second is told; what the first wrote is there until somebody else begins."""
    place = tmp_path / "there"
    with whole_directory(place) as folder:
        with pytest.raises(ArtifactError, match="there: another openwork is writing there"):
            replace(place, "second")
        for name in FILES:
            write_whole(folder / name, "first")
    assert content(place) == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_many_pairs_of_writers_leave_one_whole_result(tmp_path: Path) -> None:
    succeeded: list[str] = []

    def write(text: str, gate: threading.Barrier) -> None:
        gate.wait()
        try:
            replace(tmp_path / "there", text)
        except ArtifactError as error:
            assert "another openwork is writing there" in str(error)
        else:
            succeeded.append(text)

    for pair in range(20):
        before, gate = len(succeeded), threading.Barrier(2)
        threads = [threading.Thread(target=write, args=(f"{pair} {one}", gate)) for one in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert content(tmp_path / "there") in succeeded[before:]
        assert [path.name for path in tmp_path.iterdir()] == ["there"]
