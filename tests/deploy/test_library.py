import threading
from pathlib import Path

import numpy as np
import pytest

from openwork.deploy.library import Library
from openwork.errors import ArtifactError
from tests.deploy import tiny


def test_a_library_tells_its_tensors_and_runs(tmp_path: Path) -> None:
    library = Library(tiny.write_artifact(tmp_path / "deploy").directory, 1)
    assert library.inputs == (((2, 3), "float32"), ((2, 3), "uint8"))
    assert library.outputs == (((2, 3), "float32"), ((2, 1), "uint8"))
    assert library.isa == "portable"
    for result, right in zip(library.run(list(tiny.inputs().values())), tiny.expected(tiny.inputs()), strict=True):
        np.testing.assert_array_equal(result, right)


def test_a_tap_sees_the_working_memory_after_each_step(tmp_path: Path) -> None:
    import ctypes

    seen = []

    def tap(step: int, arena: int) -> None:
        seen.append((step, np.frombuffer(ctypes.string_at(arena, 24), np.float32).reshape(2, 3)))

    library = Library(tiny.write_artifact(tmp_path / "deploy").directory, 1)
    y, _ = library.run(list(tiny.inputs().values()), tap)
    ((step, tapped),) = seen
    assert step == 0
    np.testing.assert_array_equal(tapped, y)


def test_the_reason_of_a_refusal_comes_from_the_library(tmp_path: Path) -> None:
    directory = tiny.write_artifact(tmp_path / "deploy").directory
    with pytest.raises(ArtifactError, match="99 threads; choose 1 to 64"):
        Library(directory, 99)


def test_a_library_is_loaded_from_a_relative_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.write_artifact(tmp_path / "deploy")
    monkeypatch.chdir(tmp_path)
    assert Library(Path("deploy"), 1).isa == "portable"


def _mapped(text: str) -> bool:
    return text in Path("/proc/self/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_a_closed_library_is_unloaded_unless_another_has_the_same_file(tmp_path: Path) -> None:
    directory = tiny.write_artifact(tmp_path / "deploy").directory
    inode = f" {(directory / 'deploy.so').stat().st_ino} "
    one, other = Library(directory, 1), Library(directory, 1)
    one.close()
    assert _mapped(inode)
    values = tiny.inputs()
    np.testing.assert_array_equal(other.run(list(values.values()))[0], tiny.expected(values)[0])
    other.close()
    other.close()
    assert not _mapped(inode)
    with pytest.raises(ArtifactError, match="closed; open a new one"):
        other.run(list(values.values()))


def test_closing_waits_for_the_run_in_progress(tmp_path: Path) -> None:
    library = Library(tiny.write_artifact(tmp_path / "deploy").directory, 1)
    running, closed = threading.Event(), threading.Event()

    def tap(_step: int, _arena: int) -> None:
        running.set()
        assert not closed.wait(0.1)

    def close() -> None:
        running.wait()
        library.close()
        closed.set()

    closer = threading.Thread(target=close)
    closer.start()
    library.run(list(tiny.inputs().values()), tap)
    closer.join()
    assert library.is_closed
