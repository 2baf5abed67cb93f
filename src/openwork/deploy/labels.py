"""Labels of a classifier's samples, from files."""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from openwork.errors import DataError
from openwork.files import read_regular
from openwork.frontends.arrays import read_integers


@contextmanager
def labelled_data(
    data: Sequence[str], labels: Path | None, class_names: Path | None
) -> Iterator[tuple[list[str], list[int]]]:
    """Specs of data as `read_batches` takes them, and the label of each sample, while the block runs.

    Args:
        data: specs; without `labels`, nothing but a list with an image and its label on each line.
        labels, class_names: as for `read_labels`.
    Raises: DataError: there are no labels, or a file cannot be read.
    """
    if labels is not None:
        yield list(data), read_labels(labels, class_names)
        return
    listing = Path(data[0]) if data else Path()
    if not listing.exists():
        raise DataError(f"{listing}: no such file; check the path")
    if len(data) != 1 or listing.suffix in (".npy", ".npz", ".bin") or not listing.is_file():
        raise DataError("labels: none are given; add --labels, or give --data one list of images and labels")
    truth = read_labels(listing, class_names)
    with TemporaryDirectory() as folder:
        images = Path(folder) / "images.txt"
        images.write_text("".join(f"{shlex.quote(str(image.absolute()))}\n" for image in read_image_list(listing)))
        yield [str(images)], truth


def read_labels(path: Path, class_names: Path | None = None) -> list[int]:
    """Labels from a .npy file of integers, or from a text file: the last word of each line, a number or a class's name.

    Args:
        class_names: a text file with the name of a class first on each line, in the order of the classes.
    Raises: DataError: a file cannot be read, or a label is neither.
    """
    if path.suffix == ".npy":
        return _read_array(path)
    known = {}
    if class_names is not None:
        known = {words[0]: index for index, words in enumerate(_words(class_names))}
    labels = []
    for words in _words(path):
        word = words[-1]
        if word not in known and not (word.isdecimal() and len(word) < 10):
            raise DataError(f"{path}: {word!r} is neither a number nor a class; name classes with --label-file")
        labels.append(known[word] if word in known else int(word))
    return labels


def read_image_list(path: Path) -> list[Path]:
    """The images of a list with a path and a label on each line, relative to the list.

    Raises: DataError: a line has no label, or an image is missing.
    """
    images = []
    for words in _words(path):
        if len(words) != 2:
            raise DataError(f"{path}: the line {' '.join(words)!r} is not an image and its label; write both")
        image = path.parent / words[0]
        if not image.is_file():
            raise DataError(f"{image}: no such file; check the list {path}")
        images.append(image)
    return images


def _read_array(path: Path) -> list[int]:
    return [int(label) for label in read_integers(path).ravel()]


def _words(path: Path) -> list[list[str]]:
    try:
        lines = read_regular(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error}); check the path") from error
    return [line.split() for line in lines if line.strip()]
