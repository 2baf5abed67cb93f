"""What the compiler made, kept from one call to the next, and proved whole each time it is used.

The cache lies in OPENWORK_CACHE, else XDG_CACHE_HOME/openwork, else ~/.cache/openwork. It belongs to the user
alone (mode 0700): whoever can write there can run code. Each of its files begins with a SHA-256 of its key and of
what follows; one that is damaged, cut short or another's is as good as missing.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from openwork.errors import ArtifactError, BuildError
from openwork.files import read_regular, temporary_directory, write_whole

MOST = 1 << 30  # bytes that are kept

_DIGEST = 32  # bytes


def cache_directory() -> Path:
    """The folder of the cache, made if missing.

    Raises: BuildError: it belongs to somebody else or others may write there.
    """
    base = os.environ.get("OPENWORK_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(base) if base else home / "openwork"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = folder.stat()
    except OSError as error:
        raise BuildError(
            f"{folder}: no cache folder ({error.strerror}); set OPENWORK_CACHE to a writable one"
        ) from error
    if state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise BuildError(f"{folder}: others may write to this cache; chmod 700 it or set OPENWORK_CACHE to your own")
    return folder.resolve()


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A folder in the cache while the block runs; its path is one that every compiler bears.

    Raises: BuildError: it cannot be written.
    """
    folder = cache_directory()
    try:
        with temporary_directory(folder, "scratch") as scratch:
            yield scratch
    except OSError as error:
        raise BuildError(
            f"{folder}: cannot be written ({error.strerror or error}); free disk space, or set OPENWORK_CACHE"
        ) from error


def load(key: str) -> bytes | None:
    """What was stored last for a key; None if there is nothing, or not the same any more."""
    try:
        stored = read_regular(_place(key))
    except OSError:
        return None
    content = stored[_DIGEST:]
    if stored[:_DIGEST] != _digest(key, content):
        return None
    with suppress(OSError):
        os.utime(_place(key))  # used: among the last to go
    return content


def store(key: str, content: bytes) -> None:
    """Keep something for a key, if it can be written; what was not used for longest goes, if it is too much."""
    with suppress(ArtifactError, OSError):
        write_whole(_place(key), _digest(key, content) + content)
        kept = [(path, path.stat()) for path in _place(key).parent.iterdir()]
        excess = sum(state.st_size for _, state in kept) - MOST
        for path, state in sorted(kept, key=lambda each: each[1].st_mtime_ns):
            if excess > 0:
                path.unlink()
                excess -= state.st_size


def _place(key: str) -> Path:
    return cache_directory() / "kept" / hashlib.sha256(key.encode()).hexdigest()


def _digest(key: str, content: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\0" + content).digest()
