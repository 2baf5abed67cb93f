"""The child process as its parent sees it: started on first need, asked, and started again after it died."""

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from openwork.errors import ModelError
from openwork.guarded import child as child_process

# Limits of one request: bytes of memory for the whole process, and seconds of the processor.
MEMORY = 4 << 30
SECONDS = 20

# Threads of its own would only take memory.
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

_ENDINGS: Mapping[int, str] = {
    signal.SIGABRT: "aborts",
    signal.SIGSEGV: "crashes",
    signal.SIGBUS: "crashes",
    signal.SIGFPE: "crashes",
    signal.SIGILL: "crashes",
    signal.SIGXCPU: "takes too long",
    signal.SIGKILL: "was killed, as happens when memory runs out,",
}


class RefusedError(Exception):
    """What breaks onnx's rules, in its own words."""


class DiedError(Exception):
    """How the child ended, or which limit it met."""


@contextmanager
def told_as(subject: str, work: str) -> Iterator[None]:
    """`DiedError` inside becomes a ModelError.

    Args:
        subject: what the request is about: the file or node.
        work: what onnx does with it: "shape inference".
    """
    try:
        yield
    except DiedError as died:
        raise ModelError(
            f"{subject}: onnx's own {work} {died} on it; check its attributes and the sizes of its inputs"
        ) from died


@dataclass(frozen=True)
class _Child:
    process: subprocess.Popen[bytes]
    owner: int  # the process that started it: one that was forked later must not talk to it


_lock = threading.Lock()
_running: list[_Child] = []  # one at the most


def ask(request: tuple[Any, ...]) -> Any:
    """The answer of the child process to a request, as `child` has both.

    Raises: RefusedError: it breaks onnx's rules. DiedError: the child died of it, or went beyond a limit; the next
        request starts another.
    """
    with _lock:
        try:
            process = _started()
            child_process.write(process.stdin, request)
            answer = child_process.read(process.stdout)
        except BrokenPipeError:
            answer = None
        except OSError as error:
            raise DiedError(f"cannot be started ({error})") from error
        except BaseException:  # an interruption: the answer, if it comes, must not be taken for that to another request
            _end(kill=True)
            raise
        ending = _end() if answer is None else 0
    match answer:
        case ("ok", result):
            return result
        case ("refused", reason):
            raise RefusedError(reason)
        case ("memory",):
            raise DiedError(f"needs more than {MEMORY >> 20} MiB of memory")
    raise DiedError(_ENDINGS.get(-ending, f"ends with status {ending}"))


def _started() -> subprocess.Popen[bytes]:
    if _running and _running[0].owner != os.getpid():
        _running.clear()  # that of the process this one was forked from
    if _running and _running[0].process.poll() is not None:
        _end()
    if not _running:
        found = find_spec("onnx")
        assert found is not None and found.origin is not None
        limits = (str(Path(found.origin).parent), str(MEMORY), str(SECONDS))
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", child_process.__file__, *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | _ENVIRONMENT,
        )
        _running.append(_Child(process, os.getpid()))
    return _running[0].process


@atexit.register
def _end(*, kill: bool = False) -> int:
    """End the child, if this process has one. Returns: its status, negative for a signal that it died of."""
    if not _running or _running[0].owner != os.getpid():
        return 0
    process = _running.pop().process
    if kill:
        process.kill()
    for stream in (process.stdin, process.stdout):
        assert stream is not None
        with suppress(BrokenPipeError):  # what was not written yet
            stream.close()
    return process.wait()
