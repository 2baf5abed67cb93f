"""Models and artifacts behind one face, so that they can be compared."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu import StepRecord, read_result
from openwork.deploy.artifact import Artifact
from openwork.deploy.channels_last import NCHW_FROM_NHWC, NHWC_FROM_NCHW
from openwork.deploy.session import InferenceSession
from openwork.deploy.tensors import QUANTIZED
from openwork.errors import ArtifactError
from openwork.frontends import TensorSpec, input_specs, load_model
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
    inputs: Sequence[TensorSpec]
    outputs: Sequence[str]
    inner: Sequence[str]
    in_floats: bool

    def run(self, inputs: Values, taps: Sequence[str] = ()) -> Values:
        """Outputs and taps by name. Raises: DataError: the inputs do not fit."""
        ...


@contextmanager
def open_networks(
    a: Path, b: Path, *, shapes: Mapping[str, tuple[int, ...]] | None = None, batch: int = 1, trust: bool = False
) -> Iterator[tuple[Network, Network]]:
    """Two networks, ONNX files or artifacts, while the block runs.

    Args:
        shapes: of inputs. Others that an ONNX file leaves open are as in the artifact that it is compared with.
        batch: size of a first dimension that is open even so.
        trust: take files of torch, as `load_model` does.
    Raises: ModelError, ArtifactError: one cannot be read.
    """
    with ExitStack() as stack:
        paths = dict.fromkeys((a, b))
        artifacts = {path: stack.enter_context(closing(CompiledNetwork(path))) for path in paths if path.is_dir()}
        known = {tensor.name: tensor.shape for artifact in artifacts.values() for tensor in artifact.inputs}
        models = {path: OnnxNetwork(path, known, shapes or {}, batch, trust) for path in paths if path not in artifacts}
        networks: Mapping[Path, Network] = {**artifacts, **models}
        yield networks[a], networks[b]


class OnnxNetwork:
    """A model file, run by onnxruntime."""

    def __init__(
        self,
        path: Path,
        defaults: Mapping[str, tuple[int, ...]],
        shapes: Mapping[str, tuple[int, ...]],
        batch: int,
        trust: bool = False,
    ):
        """defaults: shapes of inputs that are symbolic in the file, unless given. Raises: ModelError."""
        self.path = path
        self._model = load_model(path, trust=trust, shapes={**defaults, **shapes})
        graph = self._model.graph
        symbolic = {value.name for value in graph.inputs if value.shape is None or not value.shape.is_static()}
        fixed = {name: shape for name, shape in defaults.items() if name in symbolic}
        canonicalise(self._model, shapes=fixed | dict(shapes), batch=batch)
        self.inputs: Sequence[TensorSpec] = input_specs(self._model)
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
    """An artifact, run by its library; images are channels first whatever its layout.

    batch: the first dimension that all inputs and outputs share; 0 if there is none.
    """

    def __init__(self, directory: Path, *, threads: int | None = None):
        """threads: as for `InferenceSession`. Raises: ArtifactError, DataError."""
        self.path = directory
        self._session = InferenceSession(directory, threads=threads)
        artifact = self._session.artifact
        self.batch = self._session.batch
        self._channels_last = artifact.layout == "nhwc"
        self._records = _records(artifact)
        self.inputs: Sequence[TensorSpec] = [
            TensorSpec(tensor.name, self._permuted(np.empty(tensor.shape, bool), NCHW_FROM_NHWC).shape, tensor.dtype)
            for tensor in artifact.inputs
        ]
        self.outputs: Sequence[str] = [tensor.name for tensor in artifact.outputs]
        tappable = [record.output for record in self._records if record.offset is not None]
        self.inner: Sequence[str] = [name for name in tappable if name not in self.outputs]
        self.in_floats = not any(record.dtype in QUANTIZED for record in self._records)

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

    def close(self) -> None:
        self._session.close()

    def _permuted(self, array: Array, perm: Sequence[int]) -> Array:
        return array.transpose(perm) if self._channels_last and array.ndim == 4 else array
