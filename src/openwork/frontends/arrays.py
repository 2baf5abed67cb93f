"""Array files as samples of one input; .npy and .bin are mapped, so that they may be of any size."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from openwork.errors import DataError
from openwork.frontends.tensor_spec import TensorSpec

Array = NDArray[np.generic]

# What numpy raises for files that are not, or not wholly, what their suffix says.
_READ_ERRORS = (OSError, ValueError, EOFError, KeyError, OverflowError, zipfile.BadZipFile, zlib.error)


def read_rows(path: Path, tensor: TensorSpec) -> Iterator[Array]:
    """The samples of a .npy, .npz or .bin file, checked.

    Returns: arrays [1 to batch, *sample] of the input's dtype.
    Raises: DataError: as `samples`; NaN or infinity.
    """
    array = samples(path, tensor)
    for start in range(0, len(array), tensor.batch):
        rows = array[start : start + tensor.batch]
        if np.issubdtype(rows.dtype, np.inexact) and not np.isfinite(rows).all():
            raise DataError(f"{path}: holds NaN or infinity near sample {start}; remove those samples")
        yield rows


def samples(path: Path, tensor: TensorSpec) -> Array:
    """All samples of a file, [any, *sample] of the input's dtype; their values are not read unless in a .npz.

    Raises: DataError: unreadable or pickled; wrong name, dtype or shape.
    """
    array = _open(path, tensor)
    if array.dtype != tensor.dtype:
        raise DataError(
            f"{path}: holds {array.dtype}, input {tensor.name!r} takes {tensor.dtype}; "
            f"convert it (and scale it, if it holds pixels) and save it as {tensor.dtype}"
        )
    if array.shape == tensor.sample:
        array = array[np.newaxis]
    if array.ndim == 0 or array.shape[1:] != tensor.sample:
        raise DataError(
            f"{path}: has shape {list(array.shape)}, input {tensor.name!r} takes {list(tensor.shape)}; "
            "reshape it, or set the model's shape"
        )
    return array


def names_in(path: Path) -> list[str]:
    """The names of the arrays in an .npz file.

    Raises: DataError: it cannot be read.
    """
    with _archive(path) as archive:
        return archive.files


def read_archive(path: Path) -> dict[str, Array]:
    """All arrays of an .npz file, by name.

    Raises: DataError: it cannot be read, or holds pickled objects.
    """
    with _archive(path) as archive:
        return {name: archive[name] for name in archive.files}


def _open(path: Path, tensor: TensorSpec) -> Array:
    try:
        match path.suffix:
            case ".npy":
                return npy.open_memmap(path, mode="r")
            case ".bin":
                return _open_bin(path, tensor)
            case ".npz":
                with _archive(path) as archive:
                    return _entry(path, archive, tensor)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error
    raise DataError(f"{path}: of no known kind; give .npy, .npz, .bin, .txt, an image or a folder of images")


@contextmanager
def _archive(path: Path) -> Iterator[NpzFile]:
    try:
        with path.open("rb") as file:  # numpy would leave a broken archive open
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, NpzFile):
                raise DataError(f"{path}: is no archive of arrays; save it with numpy.savez")
            yield archive
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error


def _entry(path: Path, archive: NpzFile, tensor: TensorSpec) -> Array:
    if tensor.name not in archive:
        raise DataError(
            f"{path}: has no array {tensor.name!r}, only {', '.join(archive.files)}; name them as the inputs"
        )
    return archive[tensor.name]


def _open_bin(path: Path, tensor: TensorSpec) -> Array:
    dtype = np.dtype(tensor.dtype)
    sample_bytes = int(np.prod(tensor.sample, dtype=np.int64)) * dtype.itemsize
    size = path.stat().st_size
    if size == 0 or size % sample_bytes:
        raise DataError(
            f"{path}: has {size} bytes, but a sample of input {tensor.name!r} takes {sample_bytes} "
            f"({tensor.dtype}{list(tensor.sample)}); write whole samples of that type"
        )
    return np.memmap(path, dtype, mode="r", shape=(size // sample_bytes, *tensor.sample))


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return DataError(f"{path}: cannot be read as arrays ({reason}); save it with numpy.save, without pickling")
