"""Array files, whole, unusual and broken."""

import io
import os
import pickle
import tracemalloc
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from openwork.errors import DataError
from openwork.frontends import ImagePreprocess, TensorSpec, read_batches
from openwork.frontends.arrays import read_archive, read_integers, samples
from openwork.frontends.images import read_image
from tests.frontends.reading import TWO, X, read, refused, rows, write


def test_fortran_order_is_read_right(tmp_path):
    (batch,) = read(write(tmp_path / "x.npy", np.asfortranarray(rows(2))))
    np.testing.assert_array_equal(batch["x"], rows(2))


def test_one_sample_may_lack_its_batch_axis(tmp_path):
    (batch,) = read(write(tmp_path / "x.npy", rows(1)[0]), inputs=[TensorSpec("x", (1, 3), "float32")])
    np.testing.assert_array_equal(batch["x"], rows(1))


def test_scalars_and_integers(tmp_path):
    np.savez(tmp_path / "all.npz", n=np.int64(7), flags=np.array([True, False]), other=np.zeros(3))
    inputs = [TensorSpec("n", (), "int64"), TensorSpec("flags", (2,), "bool")]
    (batch,) = read(str(tmp_path / "all.npz"), inputs=inputs)
    assert batch["n"].shape == () and batch["n"] == 7
    assert batch["flags"].tolist() == [True, False]


def test_raw_numbers_are_in_the_inputs_own_type(tmp_path):
    (batch,) = read(write(tmp_path / "b.bin", np.array([9], np.int64)), inputs=[TWO[1]])
    assert batch["b"].dtype == np.int64 and batch["b"].tolist() == [9]


def test_a_large_file_is_not_read_into_memory(tmp_path):
    tensor = TensorSpec("x", (1, 1024), "float32")
    path = write(tmp_path / "x.npy", np.zeros((8192, 1024), np.float32))
    tracemalloc.start()
    assert sum(1 for _ in read_batches([path], [tensor])) == 8192
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (rows(2).astype(np.float64), "holds float64, input 'x' takes float32"),
        (rows(2).astype(np.uint8), "holds uint8, input 'x' takes float32"),
        (rows(2).astype(">f4"), "holds >f4, input 'x' takes float32"),
        (np.zeros((2, 4), np.float32), r"has shape \[2, 4\], input 'x' takes \[2, 3\]"),
        (np.zeros((2, 3, 1), np.float32), r"has shape \[2, 3, 1\]"),
        (np.float32(1), r"has shape \[\]"),
        (np.zeros((0, 3), np.float32), "has 0 samples, a batch of input 'x' takes 2"),
        (rows(1), "has 1 samples, a batch of input 'x' takes 2"),
        (np.array([[0, 1, np.nan]] * 2, np.float32), "holds NaN or infinity near sample 0"),
        (np.array([[0, 1, np.inf]] * 2, np.float32), "holds NaN or infinity near sample 0"),
    ],
)
def test_wrong_arrays(tmp_path, array, reason):
    refused(f"x.npy: {reason}", write(tmp_path / "x.npy", array))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickles_truncated_files_and_random_bytes(tmp_path, suffix):
    objects = write(tmp_path / f"objects{suffix}", np.array([{"a": 1}], object))
    refused("cannot be read as arrays", objects)
    (tmp_path / f"pickle{suffix}").write_bytes(pickle.dumps([1, 2]))
    refused("cannot be read as arrays", tmp_path / f"pickle{suffix}")
    (tmp_path / f"random{suffix}").write_bytes(np.random.default_rng(0).bytes(500))
    refused("cannot be read as arrays", tmp_path / f"random{suffix}")
    (tmp_path / f"empty{suffix}").write_bytes(b"")
    refused("cannot be read as arrays", tmp_path / f"empty{suffix}")
    whole = tmp_path / f"whole{suffix}"
    write(whole, rows(100))
    (tmp_path / f"cut{suffix}").write_bytes(whole.read_bytes()[:-700])
    refused("cannot be read as arrays", tmp_path / f"cut{suffix}")


def test_archives_without_the_inputs_name(tmp_path):
    np.savez(tmp_path / "y.npz", y=rows(2))
    refused("has no array 'x', only y", tmp_path / "y.npz")


def test_an_array_file_with_the_suffix_of_an_archive(tmp_path):
    path = tmp_path / "x.npz"
    np.save(tmp_path / "x.npy", rows(2))
    (tmp_path / "x.npy").rename(path)
    refused("cannot be read as arrays \\(File is not a zip file\\)", path)


@pytest.mark.parametrize("size", [0, 23])
def test_raw_files_of_the_wrong_size(tmp_path, size):
    (tmp_path / "x.bin").write_bytes(bytes(size))
    refused(f"has {size} bytes, but a sample of input 'x' takes 12", tmp_path / "x.bin")


def test_files_of_no_known_kind(tmp_path):
    (tmp_path / "x.csv").write_text("1,2,3")
    refused("of no known kind", tmp_path / "x.csv")


def test_a_shape_below_zero(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, rows(4))
    path.write_bytes(path.read_bytes().replace(b"(4, 3)", b"(-1,3)"))
    refused("cannot be read as arrays", path)


def packed(path, header, content):
    """An archive of one array, whose parts need not fit."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, header)
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", file.getvalue() + content)
    return path


def header(*shape, dtype="<f4"):
    return {"descr": dtype, "fortran_order": False, "shape": shape}


def test_an_archive_that_is_packed_a_thousand_times_is_refused_by_its_directory(tmp_path):
    path = packed(tmp_path / "x.npz", header(1 << 23, 3), bytes(12 << 23))
    assert path.stat().st_size < 1 << 20
    refused("array 'x' is 100,663,424 bytes in .* packed more than 100 times", path)
    with pytest.raises(DataError, match="packed more than 100 times"):
        read_archive(path, {"x": (1 << 23, 3)})


def test_an_archive_whose_directory_lies_is_read_as_far_as_it_says(tmp_path):
    path = packed(tmp_path / "x.npz", header(1 << 23, 3), bytes(12 << 23))
    content = path.read_bytes()
    size = (12 << 23) + 128
    assert content.count(size.to_bytes(4, "little")) == 2
    path.write_bytes(content.replace(size.to_bytes(4, "little"), (1 << 20).to_bytes(4, "little")))
    refused("cannot be read as arrays .*more than there is", path)


@pytest.mark.parametrize("shape", [(1 << 40, 3), (1 << 62, 4), (-1, 3), (5, 3)])
def test_a_header_that_tells_of_more_than_there_is(shape, tmp_path):
    refused("cannot be read as arrays", packed(tmp_path / "x.npz", header(*shape), bytes(24)))


def test_arrays_of_another_shape_are_not_unpacked(tmp_path):
    np.savez(tmp_path / "w.npz", w=np.zeros((3, 4), "f"))
    assert read_archive(tmp_path / "w.npz", {"w": (3, 4)})["w"].shape == (3, 4)
    for shapes, reason in (
        ({"w": (4, 3)}, r"has the shape \[3, 4\], \[4, 3\] is asked for"),
        ({}, "is none that is asked"),
    ):
        with pytest.raises(DataError, match=reason):
            read_archive(tmp_path / "w.npz", shapes)


def test_a_pipe_is_refused(tmp_path):
    for name in ("x.npy", "x.npz", "x.bin", "x.png"):
        os.mkfifo(tmp_path / name)
    picture = TensorSpec("x", (1, 3, 2, 2), "float32")
    for reads in (
        lambda: samples(tmp_path / "x.npy", X),
        lambda: samples(tmp_path / "x.npz", X),
        lambda: samples(tmp_path / "x.bin", X),
        lambda: read_archive(tmp_path / "x.npz", {}),
        lambda: read_integers(tmp_path / "x.npy"),
        lambda: read_image(tmp_path / "x.png", picture, ImagePreprocess()),
    ):
        with pytest.raises(DataError, match="Not a regular file"):
            reads()


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_a_header_of_nested_brackets(suffix, tmp_path):
    deep = b"{'descr': '<f4', 'fortran_order': False, 'shape': " + b"(" * 4000 + b")" * 4000 + b", }\n"
    content = b"\x93NUMPY\x01\x00" + len(deep).to_bytes(2, "little") + deep + bytes(24)
    if suffix == "npy":
        (tmp_path / "x.npy").write_bytes(content)
    else:
        with ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("x.npy", content)
    refused("cannot be read as arrays", tmp_path / f"x.{suffix}")
