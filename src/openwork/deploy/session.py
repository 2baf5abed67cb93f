"""InferenceSession: runs an artifact, and behaves as onnxruntime's does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from openwork.deploy.artifact import Artifact, open_artifact
from openwork.deploy.library import Library, Runnable, Tap
from openwork.deploy.tensors import TensorFile
from openwork.errors import ArtifactError, DataError

Array = NDArray[np.generic]

_ONNX_TYPES = {"float32": "float"}  # the others are named as in NumPy


@dataclass(frozen=True)
class NodeArg:
    """An input or output as onnxruntime describes it; type is `tensor(float)`, `tensor(uint8)`, ..."""

    name: str
    shape: list[int]
    type: str


class InferenceSession:
    """A compiled network, loaded.

        session = InferenceSession("deploy")
        logits = session.run(None, {"x": image})[0]

    Threads may share a session: their runs follow one another. A session can be pickled, and used after a
    fork: the other process opens the directory anew.
    """

    def __init__(self, directory: Path | str, *, threads: int | None = None):
        """Check and load an artifact.

        Args:
            directory: what `compile_model` wrote.
            threads: 1 to 64; those the artifact was compiled for if None.
        Raises: ArtifactError: it is incomplete, changed or from another version. DataError: wrong threads.
        """
        if threads is not None and not 1 <= threads <= 64:
            raise DataError(f"threads: {threads} was given; choose 1 to 64")
        self.artifact = open_artifact(Path(directory).absolute())
        self.threads = self.artifact.threads if threads is None else threads
        self._library = self._load()

    @property
    def isa(self) -> str:
        """The instruction set in use: `avx512vnni`, `avx512`, `avx2` or `portable`."""
        return self._library.isa

    @property
    def batch(self) -> int:
        """How many rows one run of the library takes, each by itself; 0 if the first dimension is no batch."""
        return self.artifact.batch

    def get_inputs(self) -> list[NodeArg]:
        return [_node_arg(tensor) for tensor in self.artifact.inputs]

    def get_outputs(self) -> list[NodeArg]:
        return [_node_arg(tensor) for tensor in self.artifact.outputs]

    def run(
        self, output_names: Sequence[str] | None, inputs: Mapping[str, Any], *, tap: Tap | None = None
    ) -> list[Array]:
        """Compute outputs.

        Args:
            output_names: which, in which order; None for all.
            inputs: an array for each input, in exactly its dtype and shape. Where the first dimension is a batch,
                whose rows the network keeps apart, a multiple of it is taken too and run batch by batch.
            tap: called after each step with its index and the address of the working memory.
        Returns: new arrays.
        Raises: DataError: an input or output name, dtype or shape that the network does not have.
            ArtifactError: the session is closed.
        """
        names = [tensor.name for tensor in self.artifact.outputs]
        chosen = [_index(name, names, "output") for name in output_names or names]
        batches = self._batches(inputs)
        library = self._library
        if library.is_foreign and not library.is_closed:
            # Threads of the fork may come here at once: each has its own, and the last one's stays.
            open_artifact(self.artifact.directory)
            library = self._library = self._load()
        results = [library.run(batch, tap) for batch in batches]
        outputs = results[0] if len(results) == 1 else list(map(np.concatenate, zip(*results, strict=True)))
        return [outputs[index] for index in chosen]

    def close(self) -> None:
        """Stop the worker threads and free the memory; the session cannot run any more."""
        self._library.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return partial(InferenceSession, self.artifact.directory, threads=self.threads), ()

    def _load(self) -> Runnable:
        library = Library(self.artifact.directory, self.threads)
        check_promised(self.artifact, library)
        return library

    def _batches(self, inputs: Mapping[str, Any]) -> list[list[Array]]:
        """The inputs, checked and in order, cut into one list for each run of the library."""
        tensors = self.artifact.inputs
        if not isinstance(inputs, Mapping):
            raise DataError(f"inputs: {type(inputs).__name__} was given; give a dict of names and arrays")
        for name in inputs:
            _index(name, [tensor.name for tensor in tensors], "input")
        for tensor in tensors:
            if tensor.name not in inputs:
                raise DataError(f"input {tensor.name!r} is missing; give {_described(tensor)}")
        arrays = [_array(tensor, inputs[tensor.name]) for tensor in tensors]
        runs = {self._runs(tensor, array) for tensor, array in zip(tensors, arrays, strict=True)}
        if len(runs) > 1:
            raise DataError("inputs: their first dimensions are different multiples of the batch; make them equal")
        count = runs.pop() if runs else 1
        if count == 1:
            return [arrays]
        return [list(batch) for batch in zip(*(np.split(array, count) for array in arrays), strict=True)]

    def _runs(self, tensor: TensorFile, array: Array) -> int:
        """How many runs of the library an array is good for."""
        if array.dtype == tensor.dtype:
            if array.shape == tensor.shape:
                return 1
            batch = self.batch
            if batch and array.shape[1:] == tensor.shape[1:] and array.size and array.shape[0] % batch == 0:
                return array.shape[0] // batch
        multiple = f", or a multiple of {self.batch} as its first dimension" if self.batch else ""
        raise DataError(
            f"input {tensor.name!r}: {array.dtype}{list(array.shape)} was given; give {_described(tensor)}{multiple}"
        )


def check_promised(artifact: Artifact, library: Runnable) -> None:
    """Raises: ArtifactError: the library has other tensors than the manifest; it is closed then."""
    promised = [(tensor.shape, tensor.dtype) for tensor in artifact.inputs + artifact.outputs]
    if promised != [*library.inputs, *library.outputs]:
        library.close()
        raise ArtifactError(
            f"{artifact.directory}: manifest.json and deploy.so differ in the tensors they name;"
            " compile the model again"
        )


def _index(name: str, names: Sequence[str], kind: str) -> int:
    if name not in names:
        raise DataError(f"{kind} {name!r} does not exist; choose among {', '.join(map(repr, names))}")
    return names.index(name)


def _array(tensor: TensorFile, value: Any) -> Array:
    """The value as C code may read it: row-major and aligned."""
    try:
        return np.require(value, requirements=["C", "A"])
    except (TypeError, ValueError) as error:
        raise DataError(f"input {tensor.name!r}: is no array ({error}); give {_described(tensor)}") from error


def _described(tensor: TensorFile) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}"


def _node_arg(tensor: TensorFile) -> NodeArg:
    onnx_type = _ONNX_TYPES.get(tensor.dtype, tensor.dtype)
    return NodeArg(tensor.name, list(tensor.shape), f"tensor({onnx_type})")
