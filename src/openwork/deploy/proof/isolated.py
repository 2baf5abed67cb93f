"""A library in a process of its own, so that its death is an error and no more.

Code that was just generated is not trusted until it is proved: it may crash, hang, or end the process. Here it runs
in a child (`deploy.proof.child`), behind the face of `deploy.library.Library`: a tap gets an address too, that of a
copy of what the step left in the working memory, and what it writes there is taken over.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from mmap import mmap
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, Self

import numpy as np

from openwork.deploy.artifact import Artifact
from openwork.deploy.library import ISA, Array, Tap
from openwork.deploy.session import InferenceSession, check_promised
from openwork.errors import ArtifactError, VerificationError

# The longest that opening a library, or one of its steps, may take, in seconds.
PATIENCE = 300.0

_ALIGNMENT = 64


class IsolatedLibrary:
    """As `Library`, in a child process.

    inputs, outputs, isa: as of `Library`.
    """

    def __init__(
        self,
        directory: Path,
        threads: int,
        *,
        spans: Mapping[int, tuple[int, int]] | None = None,
        steps: Sequence[str] = (),
        patience: float = PATIENCE,
    ):
        """
        Args:
            spans: by step, where in the working memory its result lies: what a tap may read and write.
            steps: what to call each in messages.
            patience: seconds for one step, beyond which the library hangs.
        Raises: ArtifactError: as `Library`. VerificationError: the library dies or hangs.
        """
        self._directory, self._threads, self._patience = directory, threads, patience
        self._spans = {} if spans is None else spans
        self._steps = steps
        self._done: int | None = None  # of the steps of the run in progress, the last one
        self._memory = os.memfd_create("openwork")
        self._connection, theirs = Pipe()
        arguments = (str(theirs.fileno()), str(self._memory))
        self._process = subprocess.Popen(
            child_arguments("openwork.deploy.proof.child", *arguments),
            env=child_environment(),
            pass_fds=(theirs.fileno(), self._memory),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()
        self.isa = "the best instruction set"
        try:
            answer = self._open(None)
            if "error" in answer:
                raise ArtifactError(answer["error"])
        except BaseException:
            self._kill()
            raise

    def select(self, isa: str) -> bool:
        """Use an instruction set from now on. Returns: False if this machine cannot, or the library has none such.

        Raises: ArtifactError, VerificationError: as when it is made.
        """
        self._check_open()
        self.isa = isa
        answer = self._open(isa)
        if "error" in answer and not answer["error"].startswith(f"{ISA}="):
            raise ArtifactError(answer["error"])
        return answer.get("isa") == isa

    def run(self, inputs: Sequence[Array], tap: Tap | None = None, outputs: list[Array] | None = None) -> list[Array]:
        """As `Library.run`; a tap may read and write the result of the step that it is told of, and `outputs`.

        Raises: VerificationError: the library dies or hangs.
        """
        self._check_open()
        if outputs is None:
            outputs = [np.empty(shape, dtype) for shape, dtype in self.outputs]
        places, mirror = _placed([*inputs, *outputs])
        size = mirror + max((offset + length for offset, length in self._spans.values()), default=0) + _ALIGNMENT
        os.ftruncate(self._memory, size)
        base = np.frombuffer(mmap(self._memory, size), np.uint8)
        theirs = [base[at : at + array.nbytes] for at, array in zip(places, [*inputs, *outputs], strict=True)]
        for copy, array in zip(theirs, inputs, strict=False):
            copy[:] = _bytes(array)
        request = {
            "size": size,
            "inputs": places[: len(inputs)],
            "outputs": places[len(inputs) :],
            "mirror": mirror,
            "spans": {} if tap is None else self._spans,
            "waits": tap is not None,
        }
        self._done = -1
        address = base.ctypes.data + mirror
        answer = self._ask({"run": request})
        while "step" in answer:
            self._done = answer["step"]
            if tap is not None:
                self._tapped(tap, address, theirs[len(inputs) :], outputs)
            answer = self._ask({"go": True}) if tap is not None else self._answer()
        for copy, array in zip(theirs[len(inputs) :], outputs, strict=True):
            _bytes(array)[:] = copy
        self._done = None
        return outputs

    def close(self) -> None:
        """Let the library close, and the child end.

        Raises: VerificationError: it dies or hangs over that.
        """
        if self.is_closed:
            return
        self._connection.close()
        try:
            status = self._process.wait(self._patience)
        except subprocess.TimeoutExpired:
            raise self._hung() from None
        finally:
            self._kill()
        if status:
            raise self._dead(status)

    @property
    def is_closed(self) -> bool:
        return self._connection.closed

    @property
    def is_foreign(self) -> bool:
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is None:
            self.close()
        else:
            self._kill()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self._kill()

    def _open(self, isa: str | None) -> dict[str, Any]:
        answer = self._ask({"open": [str(self._directory.absolute()), self._threads, isa]})
        if "error" not in answer:
            self.inputs, self.outputs = (
                tuple((tuple(shape), str(dtype)) for shape, dtype in answer[kind]) for kind in ("inputs", "outputs")
            )
            self.isa = answer["isa"]
        return answer

    def _check_open(self) -> None:
        if self.is_closed:
            raise ArtifactError(f"{self._directory}: the library is closed; open it again")

    def _tapped(self, tap: Tap, address: int, theirs: Sequence[Array], outputs: Sequence[Array]) -> None:
        assert self._done is not None
        if self._done in self._spans:
            tap(self._done, address)
            return
        for copy, array in zip(theirs, outputs, strict=True):
            _bytes(array)[:] = copy
        tap(self._done, address)
        for copy, array in zip(theirs, outputs, strict=True):
            copy[:] = _bytes(array)

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._connection.send_bytes(json.dumps(request).encode())
        except OSError:
            raise self._dead(self._process.wait()) from None
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        try:
            if not self._connection.poll(self._patience):
                raise self._hung()
            answer: dict[str, Any] = json.loads(self._connection.recv_bytes())
            return answer
        except (EOFError, ConnectionError):
            raise self._dead(self._process.wait()) from None

    def _hung(self) -> VerificationError:
        self._kill()
        return self._failed(f"did not answer within {self._patience:g} s")

    def _dead(self, status: int) -> VerificationError:
        self._kill()
        return self._failed(death(status))

    def _failed(self, how: str) -> VerificationError:
        where = "library"
        if self._done is not None:
            index = self._done + 1
            where = f"step {self._steps[index]}" if index < len(self._steps) else f"step {index}"
        return VerificationError(
            f"{where}: the compiled library {how} on {self.isa}; compile the model again, and please report it if it"
            " stays so"
        )

    def _kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._connection.close()
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1


class IsolatedSession(InferenceSession):
    """A session whose library runs in a process of its own."""

    def _load(self) -> IsolatedLibrary:
        library = open_isolated(self.artifact, self.threads, tapped=True)
        check_promised(self.artifact, library)
        return library


def open_isolated(artifact: Artifact, threads: int, *, tapped: bool) -> IsolatedLibrary:
    """The library of an artifact. tapped: whether a tap will look at results, or only the outputs count."""
    if not tapped:
        return IsolatedLibrary(artifact.directory, threads)
    from openwork.backends.cpu import result_span  # they bring onnx_ir along
    from openwork.deploy.proof.steps import step_records

    records = step_records(artifact)
    spans = {record.index: result_span(record) for record in records if record.offset is not None}
    return IsolatedLibrary(artifact.directory, threads, spans=spans, steps=step_labels(artifact.steps()))


def step_labels(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """How messages call steps, as deploy.json has them."""
    return [f"{step['name']!r} ({step['operator']})" for step in steps]


def on_each_instruction_set(
    library: IsolatedLibrary, names: Sequence[str], prove: Callable[[], None]
) -> tuple[str, ...]:
    """Call `prove` with a library set to each of the instruction sets that it brings and this machine has.

    Where the environment chooses one, it is the only one. Returns: their names, in order.
    """
    chosen = os.environ.get(ISA)
    proved = []
    for name in names if chosen is None else (chosen,):
        if library.select(name):
            prove()
            proved.append(name)
    return tuple(proved)


def child_arguments(module: str, *arguments: str) -> list[str]:
    """The command that runs a module of ours in a process of its own; it looks for none in the working directory."""
    return [sys.executable, "-P", "-m", module, *arguments]


def child_environment() -> dict[str, str]:
    """Of such a process: it imports what this one would."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def death(status: int) -> str:
    """How a process ended, from its exit status."""
    return f"died of {signal.Signals(-status).name}" if status < 0 else f"ended the process with status {status}"


def _placed(arrays: Sequence[Array]) -> tuple[list[int], int]:
    """Where each array lies when they follow each other, and where the last one ends."""
    places, end = [], 0
    for array in arrays:
        places.append(end)
        end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    return places, end


def _bytes(array: Array) -> Array:
    return array.reshape(-1).view(np.uint8)
