"""The process in which a library runs while it is not yet, or no longer, trusted: see `deploy.proof.isolated`.

    python -P -m openwork.deploy.proof.child CONNECTION MEMORY

The other process sends requests over the socket CONNECTION and shares MEMORY, a file that both map. Requests and
answers are JSON: {"open": [directory, threads, isa]}, then any number of {"run": {...}}. Before the answer to a run
comes {"step": index} after each step. Little is imported: this is started for each proof.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from math import prod
from mmap import mmap
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openwork.deploy.library import ISA, Library
from openwork.errors import ArtifactError

_PR_SET_PDEATHSIG = 1


def main(connection: Connection, memory: int) -> None:
    """Answer until the other process closes the connection."""
    library = None
    try:
        while True:
            request = json.loads(connection.recv_bytes())
            if "open" in request:
                if library is not None:
                    library.close()
                library, answer = _opened(*request["open"])
            else:
                assert library is not None
                _run(library, connection, memory, request["run"])
                answer = {"done": True}
            connection.send_bytes(json.dumps(answer).encode())
    except EOFError:
        if library is not None:
            library.close()


def _opened(directory: str, threads: int, isa: str | None) -> tuple[Library | None, dict[str, Any]]:
    if isa is not None:
        os.environ[ISA] = isa
    try:
        library = Library(Path(directory), threads)
    except ArtifactError as error:
        return None, {"error": str(error)}
    return library, {"inputs": library.inputs, "outputs": library.outputs, "isa": library.isa}


def _run(library: Library, connection: Connection, memory: int, request: Mapping[str, Any]) -> None:
    """Run on arrays in the shared memory.

    spans: of steps whose results are copied to `mirror` before the other process is told, and back after its answer.
    """
    shared = mmap(memory, request["size"])
    base = np.frombuffer(shared, np.uint8)
    spans = {int(index): span for index, span in request["spans"].items()}
    inputs = _arrays(base, library.inputs, request["inputs"])
    outputs = _arrays(base, library.outputs, request["outputs"])
    mirror = base.ctypes.data + request["mirror"]

    def tap(index: int, arena: int) -> None:
        offset, size = spans.get(index, (0, 0))
        ctypes.memmove(mirror + offset, arena + offset, size)
        connection.send_bytes(json.dumps({"step": index}).encode())
        if request["waits"]:
            connection.recv_bytes()
            ctypes.memmove(arena + offset, mirror + offset, size)

    library.run(inputs, tap, outputs)


def _arrays(base: NDArray[np.uint8], tensors: Any, offsets: list[int]) -> list[NDArray[np.generic]]:
    return [
        base[offset : offset + prod(shape) * np.dtype(dtype).itemsize].view(dtype).reshape(shape)
        for (shape, dtype), offset in zip(tensors, offsets, strict=True)
    ]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # else a library that hangs would outlive an openwork that is killed
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    main(Connection(int(sys.argv[1])), int(sys.argv[2]))
