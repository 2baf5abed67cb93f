"""Files and directories that are written whole or not at all.

A name that is a link is followed: what it points to is written, and the link stays.
"""

import errno
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from openwork.errors import ArtifactError
from openwork.files.put import flush, flush_tree, put, recover
from openwork.files.temporary import only_writer, temporary_directory, temporary_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def read_regular(path: Path) -> bytes:
    """The content of a file. A pipe or a device, which may have no end, is not read.

    Raises: OSError: it cannot be read, or is no regular file.
    """
    check_regular(path)
    return path.read_bytes()


def check_file_place(path: Path) -> None:
    """Raises: ArtifactError: `write_whole` cannot write a file there."""
    with _telling(path):
        _check_file(_followed(path))


def check_directory_place(path: Path) -> None:
    """Raises: ArtifactError: there is no directory for files, and none can be made."""
    with _telling(path):
        _check_above(_followed(path) / "any")


def check_whole_directory_place(path: Path, *, may_replace: Callable[[Path], None] | None = None) -> None:
    """Raises: ArtifactError: `whole_directory`, with the same arguments, cannot write there."""
    with _telling(path):
        _check_directory(path, _followed(path), may_replace)


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file under a temporary name beside it, flush it to disk, then let it take its place.

    Args:
        path: the final name; its directory is made when missing.
        content: bytes, or text written as UTF-8.
    Raises: ArtifactError: the place cannot be written. Nothing half-written is left.
    """
    data = content.encode() if isinstance(content, str) else content
    with _telling(path):
        place = _followed(path)
        _check_file(place)
        _make(place.parent)
        with temporary_file(place.parent, place.name) as (temporary, handle):
            with open(handle, "wb", closefd=False) as file:
                file.write(data)
            os.fchmod(handle, 0o644)
            os.fsync(handle)
            put(temporary, place)


def write_array(path: Path, array: "NDArray[np.generic]") -> None:
    """Write an array as a .npy file, as `write_whole` does. Raises: ArtifactError: the place cannot be written."""
    import numpy as np  # this floor is everybody's, and `--help` does without

    file = io.BytesIO()
    np.save(file, array)
    write_whole(path, file.getvalue())


@contextmanager
def whole_directory(path: Path, *, may_replace: Callable[[Path], None] | None = None) -> Iterator[Path]:
    """Yield a temporary directory that takes the place of `path` when the block ends without an error.

    Args:
        path: the final name. It may exist if it is empty.
        may_replace: called with an older directory that is not empty; raises ArtifactError if it must stay. Without
            it, each must.
    Raises: ArtifactError: the place cannot be written, somebody else is writing there, or it holds what must stay.
        Nothing half-written is left.
    """
    with _telling(path):
        place = _followed(path)
        _check_directory(path, place, may_replace)
        _make(place.parent)
        with only_writer(place):
            recover(place)
            _check_directory(path, place, may_replace)
            with temporary_directory(place.parent, place.name) as temporary:
                temporary.chmod(0o755)
                yield temporary
                flush_tree(temporary)
                _check_directory(path, place, may_replace)  # somebody may have put something there meanwhile
                put(temporary, place)


def listed(names: Sequence[str]) -> str:
    """Some names, for a message that must not become long."""
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _followed(path: Path) -> Path:
    """Where a name leads, which need not be there.

    Raises: OSError: links that lead in a circle.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise
    return Path(os.path.realpath(path))


def _make(folder: Path) -> None:
    """Make a folder and those above it, each of them on the disk."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        flush(each.parent)


def _check_above(path: Path) -> None:
    """What stands above a path, as far as it is there, must be directories, and the last of them writable."""
    place = next(above for above in path.parents if above.exists())
    if not place.is_dir():
        raise ArtifactError(f"{place}: is a file, not a directory; give another name")
    if not os.access(place, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _check_file(place: Path) -> None:
    _check_above(place)
    if place.exists():
        check_regular(place)  # renaming over a device would take it away from the whole machine


def _check_directory(path: Path, place: Path, may_replace: Callable[[Path], None] | None) -> None:
    """path: what the user called `place`."""
    _check_above(place)
    if not place.exists():
        return
    if not place.is_dir():
        raise ArtifactError(f"{path}: is a file, not a directory; give -o another name")
    if place.is_mount() or Path.cwd().is_relative_to(place):  # its name could not, or should not, become another's
        raise ArtifactError(f"{path}: is a mount point or the current folder; give -o a name inside it")
    names = sorted(each.name for each in place.iterdir())
    if names and may_replace is None:
        raise ArtifactError(f"{path}: holds other files ({listed(names)}); give -o an empty or new directory")
    if names and may_replace is not None:
        may_replace(path)


def check_regular(path: Path) -> None:
    """Raises: OSError: it is there, and no file but a directory, or a pipe or device, which may have no end."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "Is a directory" if path.is_dir() else "Not a regular file")


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Errors of the system become ours."""
    try:
        yield
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be written ({error.strerror or error}); choose a writable place"
        ) from error
