"""Inputs and calibration sets: files in, batches of named arrays out, one batch in memory at a time.

A *spec* names a file, as `FILE`, or as `NAME=FILE` for the input it feeds; NAME may be left out where only
one input is possible:

    x.npy              an array of samples [any, ...], or one sample without its batch axis
    data.npz           arrays named as the inputs; others are ignored
    x.bin              numbers without header, in the input's own dtype and shape, little-endian, C order
    photo.png, photos  an image, or a folder of images in sorted order: see `ImagePreprocess`
    list.txt           a line holds specs for every input (shell quoting, # comments), relative to the list

Samples are cut or gathered along axis 0 into batches of exactly the model's batch size. What remains at the
end and does not fill a batch is dropped.
"""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from openwork.errors import DataError
from openwork.files import read_regular
from openwork.frontends import arrays, images
from openwork.frontends.arrays import Array
from openwork.frontends.images import ImagePreprocess
from openwork.frontends.tensor_spec import TensorSpec

_TO_UNIT_RANGE = ImagePreprocess()


def read_batches(
    specs: Sequence[str], inputs: Sequence[TensorSpec], *, preprocess: ImagePreprocess = _TO_UNIT_RANGE
) -> Iterator[dict[str, Array]]:
    """Read files batch by batch.

    Args:
        specs: files, as above; together they feed every input once.
        inputs: what the model takes.
        preprocess: how images become arrays.
    Returns: at least one batch, {input name: array of exactly the input's shape and dtype}.
    Raises: DataError: a file is missing or unreadable, has the wrong name, dtype or shape, holds NaN or
        infinity, or too few samples for one batch. Wrong names and missing files are found at once, the rest
        while reading.
    """
    sources = _Reader(tuple(inputs)).sources(specs, Path())
    return _together({tensor.name: _batches(sources[tensor.name], tensor, preprocess) for tensor in inputs})


def read_one(
    specs: Sequence[str], inputs: Sequence[TensorSpec], *, preprocess: ImagePreprocess = _TO_UNIT_RANGE
) -> dict[str, Array]:
    """The first batch of `read_batches`, with the same arguments and errors."""
    return next(read_batches(specs, inputs, preprocess=preprocess))


def count_batches(specs: Sequence[str], inputs: Sequence[TensorSpec]) -> int:
    """How many batches `read_batches` gives, with the same errors; images are counted unread."""
    sources = _Reader(tuple(inputs)).sources(specs, Path())
    return min(
        (sum(_count(file, tensor) for file in sources[tensor.name].files) // tensor.batch for tensor in inputs),
        default=0,
    )


@dataclass(frozen=True)
class _Source:
    """What feeds one input, and the image and array files behind it."""

    path: Path
    files: Iterator[Path]


@dataclass(frozen=True)
class _Reader:
    """Finds the inputs that specs feed."""

    inputs: tuple[TensorSpec, ...]

    def sources(self, specs: Sequence[str], folder: Path, origin: str = "") -> dict[str, _Source]:
        """The file of each input, not opened yet; every input has exactly one.

        origin: where the specs stand, in front of what is wrong with one.
        """
        found: dict[str, _Source] = {}
        for spec in specs:
            named, path = self._split(spec, folder, origin)
            reader = self if named is None else _Reader((named,))
            for tensor in reader._fed_by(path):
                if tensor.name in found:
                    raise DataError(
                        f"{origin}{path}: feeds input {tensor.name!r} again; list the files in a .txt instead"
                    )
                found[tensor.name] = _Source(path, reader._files(path, tensor))
        for tensor in self.inputs:
            if tensor.name not in found:
                where = origin or "the data: "
                raise DataError(f"{where}nothing feeds input {tensor.name!r}; add {tensor.name}=FILE")
        return found

    def _split(self, spec: str, folder: Path, origin: str) -> tuple[TensorSpec | None, Path]:
        named = next((tensor for tensor in self.inputs if spec.startswith(f"{tensor.name}=")), None)
        file = spec if named is None else spec[len(named.name) + 1 :]
        path = folder / file
        if file and _is_readable(path):
            return named, path
        if named is None and "=" in spec:
            raise DataError(f"{origin}{spec}: no such file, and no input of that name; the inputs are {self._names()}")
        raise DataError(f"{origin}{path}: no such file; check the path")

    def _fed_by(self, path: Path) -> Sequence[TensorSpec]:
        """The inputs, out of those possible, that a file feeds."""
        if len(self.inputs) == 1 or path.suffix == ".txt":
            return self.inputs
        if path.suffix == ".npz":
            names = arrays.names_in(path)
            return [tensor for tensor in self.inputs if tensor.name in names]
        raise DataError(f"{path}: the model has inputs {self._names()}; say which one with NAME={path.name}")

    def _files(self, path: Path, tensor: TensorSpec) -> Iterator[Path]:
        if path.suffix == ".txt":
            for number, line in _lines(path):
                origin = f"{path}, line {number}: "
                source = self.sources(line, path.parent, origin)[tensor.name]
                if source.path.suffix == ".txt":
                    raise DataError(f"{origin}{source.path}: is another list; copy its lines instead")
                yield from source.files
        elif path.is_dir():
            yield from images.image_files(path)
        else:
            yield path

    def _names(self) -> str:
        return ", ".join(tensor.name for tensor in self.inputs)


def _is_readable(path: Path) -> bool:
    """Whether it is a file or folder: not missing, and no pipe or device, which may have no end."""
    try:
        return path.is_file() or path.is_dir()
    except OSError:  # such as a name that is too long
        return False


def _lines(path: Path) -> list[tuple[int, list[str]]]:
    """The words of each line that has some, with its number from 1."""
    try:
        lines = [shlex.split(line, comments=True) for line in read_regular(path).decode().splitlines()]
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a list of files ({error}); write one a line") from error
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line]
    if not numbered:
        raise DataError(f"{path}: lists no file; write one a line")
    return numbered


def _rows(file: Path, tensor: TensorSpec, preprocess: ImagePreprocess) -> Iterator[Array]:
    """The checked samples [any, ...] of a file, at most one batch at a time."""
    if _is_image(file):
        yield images.read_image(file, tensor, preprocess)
    else:
        yield from arrays.read_rows(file, tensor)


def _count(file: Path, tensor: TensorSpec) -> int:
    return 1 if _is_image(file) else len(arrays.samples(file, tensor))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in images.SUFFIXES


def _batches(source: _Source, tensor: TensorSpec, preprocess: ImagePreprocess) -> Iterator[Array]:
    """Regroup samples into arrays of exactly the input's shape."""
    held, samples = np.empty((0, *tensor.sample), tensor.dtype), 0
    for rows in (rows for file in source.files for rows in _rows(file, tensor, preprocess)):
        samples += len(rows)
        held = np.concatenate([held, rows])
        while len(held) >= tensor.batch:
            yield held[: tensor.batch].reshape(tensor.shape)
            held = held[tensor.batch :]
    if samples < tensor.batch:
        raise DataError(
            f"{source.path}: has {samples} samples, a batch of input {tensor.name!r} takes {tensor.batch}; "
            "give more, or make the model with a smaller batch"
        )


def _together(streams: dict[str, Iterator[Array]]) -> Iterator[dict[str, Array]]:
    while True:
        batch = {name: array for name, stream in streams.items() if (array := next(stream, None)) is not None}
        if not batch:
            return
        if len(batch) < len(streams):
            short = next(name for name in streams if name not in batch)
            raise DataError(f"input {short!r}: has fewer samples than the others; give every input as many")
        yield batch
