"""Array files, whole, unusual and broken."""

import pickle
import tracemalloc

import numpy as np
import pytest

from openwork.frontends import TensorSpec, read_batches
from tests.frontends.reading import TWO, read, refused, rows, write


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
    refused("is no archive of arrays", path)


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
