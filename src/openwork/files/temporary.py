"""Temporary entries beside what they become, and the lock of a place; both go when their process has died.

Each is named `.NAME.XXXXXXXX.openwork` or `.NAME.lock.openwork`, and its process holds a lock on it (flock, which
the kernel gives up with the process) from its making to its end. So whoever gets the lock of such an entry knows
that nobody needs it any more, whatever process numbers have been used again since.
"""

import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from openwork.errors import ArtifactError

_SUFFIX = ".openwork"
_COLLECTED = re.compile(r"\..*\.([a-z0-9_]{8}|lock)\.openwork", re.DOTALL)
_PATIENCE = 0.5  # seconds for a lock that somebody else only looks at
_LONGEST = 150  # bytes of a name, so that what is added still makes a name


@contextmanager
def temporary_file(folder: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Yield a new file in a folder, hidden, and its descriptor; what bears its name in the end is removed.

    Raises: OSError: the folder cannot be written.
    """

    def make() -> tuple[Path, int]:
        handle, path = tempfile.mkstemp(prefix=hidden(name, ""), suffix=_SUFFIX, dir=folder)
        return Path(path), handle

    with _claimed(folder, make) as claimed:
        yield claimed


@contextmanager
def temporary_directory(folder: Path, name: str) -> Iterator[Path]:
    """Yield a new directory in a folder, hidden; what bears its name in the end is removed.

    Raises: OSError: the folder cannot be written.
    """

    def make() -> tuple[Path, int]:
        path = Path(tempfile.mkdtemp(prefix=hidden(name, ""), suffix=_SUFFIX, dir=folder))
        return path, os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    with _claimed(folder, make) as (path, _):
        yield path


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """While the block runs, nobody else is in such a block for the same place.

    Raises: ArtifactError: somebody is. OSError: the folder above cannot be written.
    """
    lock = path.parent / (hidden(path.name, "lock") + _SUFFIX)
    until = time.monotonic() + _PATIENCE
    while True:
        handle = os.open(lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        if _lock(handle) and _leads_to(lock, handle):
            break
        os.close(handle)
        if time.monotonic() > until:
            raise ArtifactError(
                f"{path}: another openwork is writing there; wait until it is done, or give another name"
            )
        time.sleep(0.01)
    try:
        yield
    finally:
        _remove(lock)
        os.close(handle)


def hidden(name: str, what: str) -> str:
    """The beginning of the name of an entry that belongs to `name`, however long that is."""
    raw = os.fsencode(name)
    if len(raw) > _LONGEST:
        name = os.fsdecode(raw[:_LONGEST]) + hashlib.sha256(raw).hexdigest()[:16]
    return f".{name}.{what}"


@contextmanager
def _claimed(folder: Path, make: Callable[[], tuple[Path, int]]) -> Iterator[tuple[Path, int]]:
    """Yield what `make` makes, under lock; one that was collected before it was locked is made again."""
    _collect(folder)
    while True:
        try:
            path, handle = make()
        except FileNotFoundError:
            if folder.is_dir():
                continue
            raise
        if _lock(handle) and _leads_to(path, handle):
            break
        os.close(handle)
    try:
        yield path, handle
    finally:
        _remove(path)
        os.close(handle)


def _collect(folder: Path) -> None:
    """Remove the entries of dead processes."""
    with suppress(OSError), os.scandir(folder) as entries:
        left = [Path(entry.path) for entry in entries if _COLLECTED.fullmatch(entry.name)]
        for path in left:
            with suppress(OSError):  # it has gone already, or is somebody else's
                handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
                try:
                    if _lock(handle, unsupported=False):
                        _remove(path)
                finally:
                    os.close(handle)


def _lock(handle: int, *, unsupported: bool = True) -> bool:
    """Whether the lock was got. unsupported: the answer where the file system knows no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unsupported
    return True


def _leads_to(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(handle))
    except OSError:
        return False


def _remove(path: Path) -> None:
    with suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
