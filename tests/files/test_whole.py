"""Written whole or not at all."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from openwork.errors import ArtifactError
from openwork.files import (
    check_directory_place,
    check_file_place,
    check_whole_directory_place,
    read_regular,
    whole_directory,
    write_array,
    write_whole,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def older(directory: Path) -> None:
    if names(directory) != ["mark"]:
        raise ArtifactError(f"{directory}: must stay")


def replace(path: Path, text: str) -> None:
    with whole_directory(path, may_replace=older) as folder:
        (folder / "mark").write_text(text)


def test_a_file_is_replaced_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    for content in ("older", "newer"):
        write_whole(tmp_path / "new" / "file", content)
        assert (tmp_path / "new" / "file").read_text() == content
    assert names(tmp_path / "new") == ["file"]


def test_a_pipe_or_device_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(OSError, match="Not a regular file"):
            read_regular(path)
    with pytest.raises(ArtifactError, match="pipe: cannot be written"):
        write_whole(tmp_path / "pipe", "content")
    assert (tmp_path / "pipe").is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_what_stands_above_must_be_a_directory_that_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    checks = (check_file_place, check_directory_place, check_whole_directory_place, lambda path: write_whole(path, ""))
    for check in checks:
        with pytest.raises(ArtifactError, match="file: is a file, not a directory"):
            check(tmp_path / "file" / "new" / "newer")
        with pytest.raises(ArtifactError, match=r"cannot be written .*too long"):
            check(tmp_path / ("x" * 300) / "y")
    for check in checks[:3]:
        check(tmp_path / "new" / "newer")
    check_directory_place(tmp_path)
    monkeypatch.chdir(tmp_path)
    for path in (Path("new"), Path("./new"), Path("../new/newer")):
        check_file_place(path)
    check_directory_place(Path())
    with pytest.raises(ArtifactError, match="Is a directory"):
        check_file_place(Path())
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    for check in checks:
        with pytest.raises(ArtifactError, match=r"new: cannot be written \(Permission denied\)"):
            check(tmp_path / "new")
    assert names(tmp_path) == ["file"]


def test_an_older_directory_is_replaced(tmp_path: Path) -> None:
    for text in ("older", "newer"):
        replace(tmp_path / "there", text)
        assert (tmp_path / "there" / "mark").read_text() == text
    assert names(tmp_path) == ["there"]


def test_an_array_is_written_whole(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.int16).reshape(2, 3)
    write_array(tmp_path / "new" / "a.npy", array)
    np.testing.assert_array_equal(np.load(tmp_path / "new" / "a.npy"), array)
    assert names(tmp_path / "new") == ["a.npy"]


def test_what_must_stay_stays(tmp_path: Path) -> None:
    replace(tmp_path / "there", "older")
    (tmp_path / "there" / "mine").touch()
    with pytest.raises(ArtifactError, match="must stay"):
        replace(tmp_path / "there", "newer")
    for number in range(3):
        (tmp_path / "there" / f"thesis{number}").touch()
    with pytest.raises(ArtifactError, match=r"other files \('mark', 'mine', 'thesis0' and 2 more\); give -o an empty"):
        check_whole_directory_place(tmp_path / "there")
    assert names(tmp_path) == ["there"] and len(names(tmp_path / "there")) == 5


def test_what_came_while_the_block_ran_stays(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="must stay"), whole_directory(tmp_path / "there", may_replace=older):
        (tmp_path / "there").mkdir()
        (tmp_path / "there" / "mine").touch()
    assert names(tmp_path) == ["there"] and names(tmp_path / "there") == ["mine"]


def test_the_current_folder_and_mount_points_are_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "below").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "below")
    for path in (Path(), Path(".."), tmp_path / "here", Path("/proc")):
        with pytest.raises(ArtifactError, match=r"is a mount point or the current folder|Permission denied"):
            check_whole_directory_place(path, may_replace=lambda directory: None)


def test_names_may_be_as_long_as_the_system_allows(tmp_path: Path) -> None:
    for name in ("x" * 255, "é" * 127):
        write_whole(tmp_path / "file" / name, "content")
        replace(tmp_path / "folder" / name, "content")
        assert names(tmp_path / "file") == names(tmp_path / "folder") == [name]
        (tmp_path / "file" / name).unlink()
        shutil.rmtree(tmp_path / "folder" / name)


# ---- links ----


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    for folder in ("real", "links"):
        (tmp_path / folder).mkdir()
    write_whole(tmp_path / "real" / "file", "older")
    replace(tmp_path / "real" / "directory", "older")
    for name in ("file", "directory", "new file", "new directory"):  # the last two lead nowhere yet
        (tmp_path / "links" / name).symlink_to(Path("..", "real", name))
    (tmp_path / "links" / "twice").symlink_to("file")
    for name in ("twice", "new file"):
        write_whole(tmp_path / "links" / name, "newer")
    for name in ("directory", "new directory"):
        replace(tmp_path / "links" / name, "newer")
    assert all(path.is_symlink() for path in (tmp_path / "links").iterdir())
    assert len(names(tmp_path / "links")) == 5
    assert {path.read_text() for path in (tmp_path / "real").rglob("*") if path.is_file()} == {"newer"}
    assert names(tmp_path / "real") == ["directory", "file", "new directory", "new file"]


def test_links_that_lead_to_the_wrong_kind_or_in_a_circle_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for name, to in {"to file": "file", "to folder": "folder", "circle": "back", "back": "circle"}.items():
        (tmp_path / name).symlink_to(to)
    before = names(tmp_path)
    for check in (check_whole_directory_place, lambda path: replace(path, "")):
        with pytest.raises(ArtifactError, match="to file: is a file"):
            check(tmp_path / "to file")
    for check in (check_file_place, lambda path: write_whole(path, "")):
        with pytest.raises(ArtifactError, match=r"to folder: cannot be written \(Is a directory"):
            check(tmp_path / "to folder")
    everything = (check_file_place, check_directory_place, check_whole_directory_place)
    for check in (*everything, lambda path: write_whole(path, ""), lambda path: replace(path, "")):
        for name in ("circle", "circle/new"):
            with pytest.raises(ArtifactError, match=r"cannot be written \(Too many levels"):
                check(tmp_path / name)
    assert names(tmp_path) == before
