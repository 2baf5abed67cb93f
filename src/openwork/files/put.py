"""Putting a finished file or directory in the place of an older one, in one operation where the system has it."""

import ctypes
import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from openwork.files.temporary import hidden

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def put(temporary: Path, path: Path) -> None:
    """Let `temporary`, whose content has been flushed, take the place of `path`, and flush that too.

    An older file or directory then bears the temporary name; who made that removes it.

    Raises: OSError: it cannot be done; `path` is what it was.
    """
    if not os.path.lexists(path):
        temporary.rename(path)
        _settle(path, lambda: path.rename(temporary))
    elif exchange(temporary, path):
        _settle(path, lambda: exchange(temporary, path))
    elif path.is_dir():
        _put_in_two(temporary, path)
    else:
        temporary.replace(path)
        flush(path.parent)


def recover(path: Path) -> None:
    """Finish what a process began that died where a directory could not be replaced in one operation."""
    older = _older(path)
    if older.is_dir() and not older.is_symlink():
        if os.path.lexists(path):
            shutil.rmtree(older, ignore_errors=True)
        else:
            older.rename(path)


def flush(path: Path) -> None:
    """Bring a file or directory to the disk; some file systems cannot do that with directories."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def flush_tree(directory: Path) -> None:
    """Bring a directory and all that it holds to the disk."""
    for folder, _, files in os.walk(directory):
        for name in sorted(files):
            flush(Path(folder, name))
        flush(Path(folder))


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one operation; False where the system or the file system knows no such thing.

    Source: renameat2(2).
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    if call(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):  # the last comes from sandboxes
        return False
    raise OSError(code, os.strerror(code))


def _settle(path: Path, back: Callable[[], object]) -> None:
    try:
        flush(path.parent)
    except BaseException:
        back()
        raise


def _put_in_two(temporary: Path, path: Path) -> None:
    """Move the older directory away, then the newer one in; `recover` knows the name of the older one."""
    older = _older(path)
    path.rename(older)
    try:
        temporary.rename(path)
        flush(path.parent)
    except BaseException:  # an interruption between the two is a failure too
        with suppress(OSError):
            path.rename(temporary)
        older.rename(path)
        raise
    shutil.rmtree(older, ignore_errors=True)


def _older(path: Path) -> Path:
    """Never collected with the temporary entries: it may be all that there is."""
    return path.parent / (hidden(path.name, "old") + ".openwork")
