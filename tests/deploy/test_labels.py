import os
from pathlib import Path

import numpy as np
import pytest

from openwork.deploy.labels import labelled_data, read_image_list, read_labels
from openwork.errors import DataError


def test_labels_stand_beside_the_data_or_in_its_list(tmp_path):
    (tmp_path / "a b.png").touch()
    (tmp_path / "c.png").touch()
    (tmp_path / "test.list").write_text("c.png 4\n")
    np.save(tmp_path / "l.npy", np.array([3, 1]))
    with labelled_data(["x.npy", "y=z.npy"], tmp_path / "l.npy", None) as found:
        assert found == (["x.npy", "y=z.npy"], [3, 1])
    with labelled_data([str(tmp_path / "test.list")], None, None) as (specs, labels):
        assert labels == [4]
        [listing] = map(Path, specs)
        assert listing.read_text() == f"{tmp_path}/c.png\n"
    assert not listing.exists()
    with pytest.raises(DataError, match=r"x\.list: no such file"), labelled_data(["x.list"], None, None):
        pass
    for data in ([], [str(tmp_path / "l.npy")], [str(tmp_path)], [str(tmp_path / "test.list"), "x.npy"]):
        with pytest.raises(DataError, match="labels: none are given"), labelled_data(data, None, None):
            pass


def test_labels_from_files(tmp_path):
    np.save(tmp_path / "l.npy", np.array([3, 1]))
    (tmp_path / "l.txt").write_text("3\n\n1\n")
    (tmp_path / "names.txt").write_text("n01 tench\nn02 goldfish\n")
    (tmp_path / "list.txt").write_text("a.png n02\nb.png n01\n")
    assert read_labels(tmp_path / "l.npy") == read_labels(tmp_path / "l.txt") == [3, 1]
    assert read_labels(tmp_path / "list.txt", tmp_path / "names.txt") == [1, 0]
    with pytest.raises(DataError, match="'n02' is neither a number nor a class; name classes with --label-file"):
        read_labels(tmp_path / "list.txt")
    (tmp_path / "long.txt").write_text("9" * 10_000)
    with pytest.raises(DataError, match="is neither a number nor a class"):
        read_labels(tmp_path / "long.txt")
    with pytest.raises(DataError, match=r"a\.png: no such file; check the list"):
        read_image_list(tmp_path / "list.txt")
    with pytest.raises(DataError, match="is not an image and its label"):
        read_image_list(tmp_path / "l.txt")
    np.save(tmp_path / "f.npy", np.array([3.5]))
    np.save(tmp_path / "o.npy", np.array([{}]), allow_pickle=True)
    for name, reason in (("f.npy", "holds no integers"), ("o.npy", "cannot be read"), ("none.txt", "cannot be read")):
        with pytest.raises(DataError, match=reason):
            read_labels(tmp_path / name)


@pytest.mark.parametrize("name", ["l.npy", "l.txt"])
def test_a_pipe_holds_no_labels(name, tmp_path):
    os.mkfifo(tmp_path / name)
    with pytest.raises(DataError, match="Not a regular file"):
        read_labels(tmp_path / name)
