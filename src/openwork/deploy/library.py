"""The binding of openwork.h: one loaded deploy.so with one open session."""

import ctypes
import os
import tempfile
import threading
import weakref
from _ctypes import dlclose
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from openwork.deploy.artifact import ABI
from openwork.errors import ArtifactError

Array = NDArray[np.generic]
Tap = Callable[[int, int], None]
Tensors = tuple[tuple[tuple[int, ...], str], ...]  # shapes and dtypes

# The environment variable that forces an instruction set; a refusal of it begins with its name.
ISA = "OPENWORK_ISA"

# enum openwork_type
_DTYPES = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "int32",
    5: "int64",
    6: "bool",
    7: "int16",
    8: "uint16",
}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("rank", ctypes.c_int32),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("bytes", ctypes.c_size_t),
    )


_POINTERS = ctypes.POINTER(ctypes.c_void_p)
_TAP = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)
_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "openwork_abi": (ctypes.c_int32, []),
    "openwork_input_count": (ctypes.c_int32, []),
    "openwork_output_count": (ctypes.c_int32, []),
    "openwork_input": (ctypes.POINTER(_Tensor), [ctypes.c_int32]),
    "openwork_output": (ctypes.POINTER(_Tensor), [ctypes.c_int32]),
    "openwork_open": (
        ctypes.c_void_p,
        [ctypes.c_char_p, ctypes.c_int32, ctypes.c_char_p, ctypes.c_size_t],
    ),
    "openwork_run": (None, [ctypes.c_void_p, _POINTERS, _POINTERS]),
    "openwork_run_tapped": (None, [ctypes.c_void_p, _POINTERS, _POINTERS, _TAP, ctypes.c_void_p]),
    "openwork_isa": (ctypes.c_char_p, [ctypes.c_void_p]),
    "openwork_close": (None, [ctypes.c_void_p]),
}


class Runnable(Protocol):
    """What a session needs of a library. inputs, outputs: shape and dtype of each tensor. isa: as of `Library`."""

    inputs: Tensors
    outputs: Tensors
    isa: str

    def run(
        self, inputs: Sequence[Array], tap: Tap | None = None, outputs: list[Array] | None = None
    ) -> list[Array]: ...

    def close(self) -> None: ...

    @property
    def is_closed(self) -> bool: ...

    @property
    def is_foreign(self) -> bool: ...


class Library:
    """A network ready to run; threads take turns. What it is given must be right: no array is checked.

    inputs, outputs: shape and dtype of each tensor.
    isa: the instruction set in use.
    """

    def __init__(self, directory: Path, threads: int):
        """Load `deploy.so` of a directory and open it with its `deploy.params`.

        Raises: ArtifactError: the library cannot be loaded, has another ABI, or refuses the weights.
        """
        self._directory = directory
        self._lock = threading.Lock()
        self._calls = _load(directory / "deploy.so")
        self.inputs: Tensors = self._tensors(self._calls.openwork_input_count(), self._calls.openwork_input)
        self.outputs: Tensors = self._tensors(self._calls.openwork_output_count(), self._calls.openwork_output)
        error = ctypes.create_string_buffer(256)
        params = bytes((directory / "deploy.params").absolute())
        self._session = self._calls.openwork_open(params, threads, error, len(error))
        if not self._session:
            dlclose(self._calls._handle)
            raise ArtifactError(error.value.decode(errors="replace"))
        self.isa: str = self._calls.openwork_isa(self._session).decode()
        self._process = os.getpid()
        self._close = weakref.finalize(self, _close, self._calls, self._session, self._process, self._lock)

    def run(self, inputs: Sequence[Array], tap: Tap | None = None, outputs: list[Array] | None = None) -> list[Array]:
        """Run once.

        Args:
            inputs: C-contiguous and aligned, of the shapes and dtypes of `self.inputs`.
            tap: called after each step with its index and the address of the working memory.
            outputs: where to write, of the shapes and dtypes of `self.outputs`; new arrays if None.
        Returns: `outputs`, arrays of the shapes and dtypes of `self.outputs`.
        Raises: ArtifactError: the library is closed.
        """
        if outputs is None:
            outputs = [np.empty(shape, dtype) for shape, dtype in self.outputs]
        self._check_open()  # first, for in a fork the lock of a closed library may be held for ever
        with self._lock:
            self._check_open()
            if tap is None:
                self._calls.openwork_run(self._session, _addresses(inputs), _addresses(outputs))
            else:
                call = _TAP(lambda _user, step, arena: tap(step, arena))
                self._calls.openwork_run_tapped(self._session, _addresses(inputs), _addresses(outputs), call, None)
        return outputs

    def close(self) -> None:
        """After the run in progress stop the workers, free the memory, unload. The second time does nothing."""
        self._close()

    @property
    def is_closed(self) -> bool:
        return not self._close.alive

    @property
    def is_foreign(self) -> bool:
        """Whether this process is a fork of the one that opened it: the worker threads stayed there."""
        return os.getpid() != self._process

    def _check_open(self) -> None:
        if self.is_closed:
            raise ArtifactError(f"{self._directory}: the session is closed; open a new one")

    @staticmethod
    def _tensors(count: int, get: Callable[[int], Any]) -> Tensors:
        tensors = [get(index).contents for index in range(count)]
        return tuple((tuple(tensor.shape[: tensor.rank]), _DTYPES[tensor.type]) for tensor in tensors)


def _load(path: Path) -> ctypes.CDLL:
    """Load a library by an absolute path this process has never used.

    The loader returns a library it already has for an equal path, even when another file has taken that path
    since: a model compiled again into its directory would run as the older one.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="openwork.") as unique:
            alias = Path(unique) / path.name
            alias.symlink_to(path.absolute())
            library = ctypes.CDLL(str(alias))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise ArtifactError(f"{path}: cannot be loaded ({error}); compile the model again") from error
    abi = library.openwork_abi()
    if abi != ABI:
        dlclose(library._handle)
        raise ArtifactError(f"{path}: has abi {abi}, not {ABI}; compile the model again")
    return library


def _close(calls: ctypes.CDLL, session: int, process: int, lock: threading.Lock) -> None:
    """In a fork nothing is done: the threads stayed in the other process, the lock may be held for ever."""
    if os.getpid() == process:
        with lock:
            calls.openwork_close(session)
            dlclose(calls._handle)


def _addresses(arrays: Sequence[Array]) -> ctypes.Array[ctypes.c_void_p]:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
