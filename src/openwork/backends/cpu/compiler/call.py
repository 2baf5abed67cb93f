"""Calling the compiler: by itself, in good time, and gone when openwork is."""

import io
import logging
import os
import select
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event

from openwork.backends.cpu.compiler import watched
from openwork.backends.cpu.compiler.cache import load, scratch_directory, store
from openwork.backends.cpu.compiler.find import Compiler
from openwork.errors import BuildError

PATIENCE = 5.0  # seconds without work, before that is told
STALLED = 120.0  # and before it is an error: a compiler waits for nobody that long, but for a lock
LIMIT = 3600.0  # seconds that one file may take

_ZIG_FOLDERS = ("b", "h", "o")  # of its cache: builtins, hashes, objects; the rest is only for making these

_log = logging.getLogger(__name__)


def call(
    compiler: Compiler,
    arguments: Sequence[str],
    output: Path,
    what: str,
    *,
    links: bool = False,
    stop: Event | None = None,
) -> None:
    """Call the compiler in the output's folder; an empty or missing output is an error, whatever it returned.

    It gets caches of its own, so it never waits for another one, and nothing in them is older than the call, but
    for the libraries of ziglang, which come out of our cache.

    Args:
        what: is compiled, for messages.
        links: whether libraries are needed, which ziglang first builds.
        stop: the call is given up when this is set.
    Raises: BuildError.
    """
    with scratch_directory() as folder:
        libraries = folder / "libraries"
        key = f"libraries of {compiler.identity}"
        known = _unpack(load(key), libraries) if links else set()
        environment = os.environ | {
            "ZIG_GLOBAL_CACHE_DIR": str(libraries),
            "ZIG_LOCAL_CACHE_DIR": str(folder / "local"),
        }
        status, messages = _run([*compiler.command, *arguments], output.parent, environment, folder, what, stop)
        if status != 0 or not output.is_file() or output.stat().st_size == 0:
            lines = [line for line in messages.splitlines() if "error" in line] or messages.splitlines()
            cause = lines[0].strip() if lines else f"exit status {status}"
            raise BuildError(f"C compiler failed on {what}: {cause}; check OPENWORK_CC and free disk space")
        if links and known != _files(libraries):
            store(key, _pack(libraries))


def _run(
    command: Sequence[str], where: Path, environment: dict[str, str], folder: Path, what: str, stop: Event | None
) -> tuple[int, str]:
    """Run a command in a process group that does not outlive us. Returns: its status, and what it said."""
    said = folder / "messages"
    alive, end = os.pipe()
    with said.open("wb") as messages:
        try:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", watched.__file__, *command],
                cwd=where,
                env=environment,
                stdin=alive,
                stdout=subprocess.PIPE,
                stderr=messages,
                start_new_session=True,
            )
        except BaseException:
            os.close(end)
            raise
        finally:
            os.close(alive)
    with process:
        try:
            _wait(process, what, stop)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            os.close(end)
    return process.returncode, said.read_text(errors="replace")


def _wait(process: subprocess.Popen[bytes], what: str, stop: Event | None) -> None:
    """Wait for the end of a process's output. Raises: BuildError: it does not come."""
    assert process.stdout is not None
    ended = select.poll()
    ended.register(process.stdout, select.POLLIN)
    begin = worked = time.monotonic()
    used, told = -1, False
    while not ended.poll(500):
        now, ticks = time.monotonic(), _processor_ticks(process.pid)
        if ticks != used:
            used, worked = ticks, now
        idle = now - worked
        if stop is not None and stop.is_set():
            raise BuildError(f"{what}: its compilation was given up, for another one failed; see there")
        if idle >= STALLED or now - begin >= LIMIT:
            state = f"has done nothing for {idle:.0f} s" if idle >= STALLED else f"has worked for {now - begin:.0f} s"
            raise BuildError(
                f"C compiler {state} on {what} and was ended; end others that may hold a lock it waits for, or set"
                " OPENWORK_CC to another compiler"
            )
        if idle >= PATIENCE and not told:
            told = True
            _log.warning("waiting for the C compiler (%s), which waits for something itself", what)


def _processor_ticks(group: int) -> int:
    """Processor time that the processes of a group have had."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, IndexError, ValueError):  # it has ended
            fields = stat.read_bytes().rpartition(b")")[2].split()
            if int(fields[2]) == group:
                ticks += sum(int(field) for field in fields[11:15])  # its own, and of children that ended
    return ticks


def _files(libraries: Path) -> set[str]:
    return {
        path.relative_to(libraries).as_posix()
        for folder in _ZIG_FOLDERS
        for path in (libraries / folder).rglob("*")
        if path.is_file()
    }


def _pack(libraries: Path) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(_files(libraries)):
            archive.write(libraries / name, name)
    return packed.getvalue()


def _unpack(packed: bytes | None, libraries: Path) -> set[str]:
    """Returns: the names of the files."""
    if packed is None:
        return set()
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(libraries)
        return set(archive.namelist())
