"""Array files as samples of one input; .npy and .bin are mapped, so that they may be of any size."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import prod
from pathlib import Path
from zipfile import ZipFile, ZipInfo

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from openwork.errors import DataError
from openwork.files import check_regular
from openwork.frontends.tensor_spec import TensorSpec

Array = NDArray[np.generic]

# Bytes of an array in an archive that do no harm, and how many times larger than packed others may be: zeros are packed
# a thousand times, sparse weights ten times.
_HARMLESS = 1 << 26
_MOST_PACKED = 100

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


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
    with _archive(path) as (_, entries):
        return list(entries)


def read_archive(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Array]:
    """The arrays of an .npz file, by name.

    Args:
        shapes: of all that may be there; none of another shape is unpacked.
    Raises: DataError: it cannot be read, holds pickled objects, or an array of another name or shape.
    """
    with _archive(path) as (archive, entries):
        for name in entries:
            if name not in shapes:
                raise DataError(
                    f"{path}: array {name!r} is none that is asked for; name arrays as `openwork inspect` does"
                )
        return {name: _unpack(path, archive, entry, name, shapes[name]) for name, entry in entries.items()}


def read_integers(path: Path) -> NDArray[np.integer]:
    """A .npy file of integers. Raises: DataError: it cannot be read, or holds none."""
    try:
        check_regular(path)
        array = npy.open_memmap(path, mode="r")
    except Exception as error:  # as in `_open`
        raise _unreadable(path, error) from error
    if array.dtype.kind not in "iu":
        raise DataError(f"{path}: holds no integers; save one for each sample")
    return array


def _open(path: Path, tensor: TensorSpec) -> Array:
    try:
        check_regular(path)
        match path.suffix:
            case ".npy":
                return npy.open_memmap(path, mode="r")
            case ".bin":
                return _open_bin(path, tensor)
            case ".npz":
                return _entry(path, tensor)
    except DataError:
        raise
    except Exception as error:  # a header is a Python expression, and may fail in any way
        raise _unreadable(path, error) from error
    raise DataError(f"{path}: of no known kind; give .npy, .npz, .bin, .txt, an image or a folder of images")


@contextmanager
def _archive(path: Path) -> Iterator[tuple[ZipFile, dict[str, ZipInfo]]]:
    """An .npz file and its entries by the names of their arrays, none unpacked yet."""
    try:
        check_regular(path)
        with ZipFile(path) as archive:
            entries = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            for name, info in entries.items():
                if info.file_size > max(_HARMLESS, _MOST_PACKED * info.compress_size):
                    raise DataError(
                        f"{path}: array {name!r} is {info.file_size:,} bytes in {info.compress_size:,}, packed more"
                        f" than {_MOST_PACKED} times, as attacks are; save it with numpy.savez, unpacked"
                    )
            yield archive, entries
    except DataError:
        raise
    except Exception as error:  # as in `_open`
        raise _unreadable(path, error) from error


def _unpack(path: Path, archive: ZipFile, entry: ZipInfo, name: str, shape: tuple[int, ...] | None = None) -> Array:
    """An array of an archive, read-only, no more than its header tells of.

    shape: that it must have, if it must; another is not unpacked.
    """
    with archive.open(entry) as file:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise ValueError(f"a header of version {version}")
        actual, fortran, dtype = _HEADERS[version](file)
        if shape is not None and actual != shape:
            raise DataError(
                f"{path}: array {name!r} has the shape {list(actual)}, {list(shape)} is asked for; save it alike"
            )
        size = prod(actual) * dtype.itemsize
        if dtype.hasobject or min(actual, default=0) < 0 or size > entry.file_size:
            raise ValueError("pickled objects, or a header that tells of more than there is")
        content = file.read(size)
        return np.ndarray(actual, dtype, buffer=content, order="F" if fortran else "C")


def _entry(path: Path, tensor: TensorSpec) -> Array:
    with _archive(path) as (archive, entries):
        if tensor.name not in entries:
            raise DataError(f"{path}: has no array {tensor.name!r}, only {', '.join(entries)}; name them as the inputs")
        return _unpack(path, archive, entries[tensor.name], tensor.name)


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
