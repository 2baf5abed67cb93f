"""Models and artifacts behind one face, so that they can be compared."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu import StepRecord, read_result
from openwork.deploy.artifact import Artifact
from openwork.deploy.channels_last import NCHW_FROM_NHWC, NHWC_FROM_NCHW
from openwork.deploy.session import InferenceSession
from openwork.deploy.tensors import TensorFile, TensorLike
from openwork.errors import ArtifactError
from openwork.frontends import load_model
from openwork.frontends.tensor_spec import input_specs
from openwork.graph import Evaluator
from openwork.passes import canonicalise

Array = NDArray[np.generic]
Values = Mapping[str, Array]


class Network(Protocol):
    """Something that computes outputs and can be looked into. Images are channels first, as in ONNX.

    inputs: name, shape and dtype of each. outputs: their names.
    inner: names of the tensors that can be tapped, in the order in which they are computed.
    in_floats: whether it computes in floats only.
    """

    path: Path
    inputs: Sequence[TensorLike]
    outputs: Sequence[str]
    inner: Sequence[str]
    in_floats: bool

    def run(self, inputs: Values, taps: Sequence[str] = ()) -> Values:
        """Outputs and taps by name. Raises: DataError: the inputs do not fit."""
        ...


class OnnxNetwork:
    """A model file, run by onnxruntime."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]]):
        """shapes: of inputs that are symbolic in the file. Raises: ModelError."""
        self.path = path
        self._model = load_model(path)
        graph = self._model.graph
        symbolic = {value.name for value in graph.inputs if value.shape is None or not value.shape.is_static()}
        canonicalise(self._model, shapes={name: shape for name, shape in shapes.items() if name in symbolic})
        self.inputs: Sequence[TensorLike] = input_specs(self._model)
        self.outputs: Sequence[str] = [str(value.name) for value in graph.outputs]
        made = [value for node in graph for value in node.outputs if value.name not in self.outputs]
        self.inner: Sequence[str] = [str(value.name) for value in made]
        self.in_floats = not any(node.op_type == "QuantizeLinear" for node in graph)

    def run(self, inputs: Values, taps: Sequence[str] = ()) -> Values:
        return Evaluator(self._model, taps).run(inputs)


def _records(artifact: Artifact) -> list[StepRecord]:
    try:
        return [StepRecord.from_json(step) for step in artifact.steps()]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{artifact.directory / 'deploy.json'}: does not describe steps ({error}); compile the model again"
        ) from error


class CompiledNetwork:
    """An artifact, run by its library."""

    def __init__(self, directory: Path):
        """Raises: ArtifactError."""
        self.path = directory
        self._session = InferenceSession(directory)
        artifact = self._session.artifact
        self._channels_last = artifact.layout == "nhwc"
        self._records = _records(artifact)
        self.inputs: Sequence[TensorLike] = [self._as_in_onnx(tensor) for tensor in artifact.inputs]
        self.outputs: Sequence[str] = [tensor.name for tensor in artifact.outputs]
        tappable = [record.output for record in self._records if record.offset is not None]
        self.inner: Sequence[str] = [name for name in tappable if name not in self.outputs]
        self.in_floats = all(record.dtype == "float32" for record in self._records)

    def run(self, inputs: Values, taps: Sequence[str] = ()) -> Values:
        tapped: dict[str, Array] = {}
        wanted = {record.index: record for record in self._records if record.output in taps}

        def tap(step: int, arena: int) -> None:
            if step in wanted:
                tapped[wanted[step].output] = read_result(wanted[step], arena)

        given = {name: self._permuted(array, NHWC_FROM_NCHW) for name, array in inputs.items()}
        results = self._session.run(self.outputs, given, tap=tap)
        return tapped | {
            name: self._permuted(result, NCHW_FROM_NHWC) for name, result in zip(self.outputs, results, strict=True)
        }

    def _permuted(self, array: Array, perm: Sequence[int]) -> Array:
        return array.transpose(perm) if self._channels_last and array.ndim == 4 else array

    def _as_in_onnx(self, tensor: TensorFile) -> TensorLike:
        shape = self._permuted(np.empty(tensor.shape, bool), NCHW_FROM_NHWC).shape
        return TensorFile(tensor.name, shape, tensor.dtype, tensor.file)
