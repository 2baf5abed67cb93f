"""Models and artifacts behind one face, so that they can be compared."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.backends.cpu import WIDTHS, read_result
from openwork.deploy.artifact import Reference
from openwork.deploy.channels_last import NCHW_FROM_NHWC, NHWC_FROM_NCHW
from openwork.deploy.proof.difference import value_range
from openwork.deploy.proof.isolated import IsolatedSession
from openwork.deploy.proof.noise import moved
from openwork.deploy.proof.original import Said, run_original, saturation
from openwork.deploy.proof.steps import step_records
from openwork.deploy.session import InferenceSession
from openwork.deploy.tensors import QUANTIZED
from openwork.errors import DataError
from openwork.frontends import Quantization, TensorSpec, input_specs, load_model
from openwork.graph import Evaluator, operator_of, rounding_of
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise

Array = NDArray[np.generic]
Values = Mapping[str, Array]


class Network(Protocol):
    """Something that computes outputs and can be looked into. Images are laid out as in the model.

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

    def moved(self, inputs: Values) -> Mapping[str, float]:
        """How far each output moves by rounding, or, of a network that is quantized, by half a step of everything that
        is, in its own unit. Raises: DataError: the inputs do not fit."""
        ...

    def close(self) -> None:
        """Give back what it holds; it cannot run any more."""
        ...


def check_alike(networks: Sequence[Network]) -> None:
    """Raises: DataError: one of the networks takes other inputs than the first."""
    for other in networks[1:]:
        ours, theirs = ([str(tensor) for tensor in each.inputs] for each in (networks[0], other))
        if sorted(ours) != sorted(theirs):
            raise DataError(
                f"{networks[0].path} takes {', '.join(ours)}, but {other.path} {', '.join(theirs)};"
                " give networks that take the same"
            )


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
        artifacts = {
            path: stack.enter_context(closing(CompiledNetwork(path, IsolatedSession(path))))
            for path in paths
            if path.is_dir()
        }
        known = {tensor.name: tensor.shape for artifact in artifacts.values() for tensor in artifact.inputs}
        models = {path: _opened(path, known, shapes or {}, batch, trust) for path in paths if path not in artifacts}
        networks: Mapping[Path, Network] = {**artifacts, **models}
        yield networks[a], networks[b]


class OnnxNetwork:
    """A model, run by onnxruntime.

    model: canonical. reference: who computed the outputs of the last run.
    """

    own_runtime = f"onnxruntime {version('onnxruntime')}"

    def __init__(self, path: Path, model: ir.Model, original: Path | None = None):
        """
        Args:
            path: where the model came from, for messages.
            original: the file whose own runtime computes the outputs, if it can; what is inside is the model's.
        """
        self.path = path
        self.model = model
        self.inputs: Sequence[TensorSpec] = input_specs(model)
        self.outputs: Sequence[str] = [str(value.name) for value in model.graph.outputs]
        made = [value for node in model.graph for value in node.outputs if value.name not in self.outputs]
        self.inner: Sequence[str] = [str(value.name) for value in made]
        self.in_floats = not any(operator_of(node) == "QuantizeLinear" for node in model.graph)
        self._original = original
        self.reference = self._own("it was not asked")

    def run(self, inputs: Values, taps: Sequence[str] = ()) -> Values:
        if taps or self._original is None:
            return self._run(inputs, taps)
        given = {name: (array.shape, str(array.dtype)) for name, array in inputs.items()}
        if given != {tensor.name: (tensor.shape, tensor.dtype) for tensor in self.inputs}:
            return self._run(inputs, taps)  # which tells what does not fit
        said = run_original(self._original, [inputs[tensor.name] for tensor in self.inputs], rounding_of(self.model))
        if isinstance(said, Said) and (said.halves or len(said.outputs) != len(self.outputs)):
            said = "it computes in float16, openwork in float32" if said.halves else "it has other outputs"
        if isinstance(said, str):
            self.reference = self._own(said)
            return self._run(inputs, taps)
        self.reference = said.reference
        return dict(zip(self.outputs, said.outputs, strict=True))

    def saturation(self, inputs: Values) -> float:
        """How far onnxruntime, left to itself, is off on this processor: see `original.saturation`."""
        if self.in_floats or self._original is None:
            return 0.0
        return saturation(self._original, [inputs[tensor.name] for tensor in self.inputs])

    def _own(self, why: str) -> Reference:
        return Reference(f"openwork's graph with {self.own_runtime}", why)

    def _run(self, inputs: Values, taps: Sequence[str]) -> Values:
        return (Evaluator(self.model, taps) if taps else self._evaluator).run(inputs)

    def moved(self, inputs: Values) -> Mapping[str, float]:
        return moved(self.model, inputs)

    def close(self) -> None:
        self.__dict__.pop("_evaluator", None)

    @cached_property
    def _evaluator(self) -> Evaluator:
        return Evaluator(self.model, threads=2)


class InterpretedNetwork(OnnxNetwork):
    """A model whose integers round otherwise than ONNX's, run by the interpreter, which rounds as the model asks.

    Raises: UnsupportedError: it cannot be lowered.
    """

    own_runtime = "its interpreter"

    def __init__(self, path: Path, model: ir.Model, original: Path | None = None):
        super().__init__(path, model, original)
        self._program = lower(model, WIDTHS)
        made = [step.output for step in self._program.steps]
        self.inner = [name for name in made if name not in self.outputs]

    def _run(self, inputs: Values, taps: Sequence[str]) -> Values:
        return interpreter.run(self._program, inputs, taps=taps)


def _opened(
    path: Path,
    defaults: Mapping[str, tuple[int, ...]],
    shapes: Mapping[str, tuple[int, ...]],
    batch: int,
    trust: bool,
) -> OnnxNetwork:
    """A model file, run by its own runtime if there is one, else as its integers round.

    defaults: shapes of inputs that are symbolic in it, unless given.
    """
    model = load_model(path, trust=trust, shapes={**defaults, **shapes})
    symbolic = {value.name for value in model.graph.inputs if value.shape is None or not value.shape.is_static()}
    fixed = {name: shape for name, shape in defaults.items() if name in symbolic}
    canonicalise(model, shapes=fixed | dict(shapes), batch=batch)
    return (OnnxNetwork if rounding_of(model) == "float32" else InterpretedNetwork)(path, model, path)


class CompiledNetwork:
    """An artifact, run by its library; images are laid out as in the model, whatever its layout.

    batch: as `InferenceSession.batch`.
    """

    def __init__(self, path: Path, session: InferenceSession):
        """path: of the artifact, for messages; session: of it. Raises: ArtifactError: deploy.json is damaged."""
        self.path = path
        self._session = session
        artifact = self._session.artifact
        self.batch = self._session.batch
        self._channels_last = artifact.layout == "nhwc"
        self._records = step_records(artifact)
        self.inputs: Sequence[TensorSpec] = [
            TensorSpec(
                tensor.name,
                self._permuted(np.empty(tensor.shape, bool), NCHW_FROM_NHWC).shape,
                tensor.dtype,
                tensor.quantization and Quantization(*tensor.quantization),
            )
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

    def moved(self, inputs: Values) -> Mapping[str, float]:
        """As it was when the network was compiled, in relation to the range of each output."""
        artifact = self._session.artifact
        known = zip(artifact.outputs, artifact.moved(), strict=True)
        results = self.run(inputs)
        return {tensor.name: fraction * value_range(results[tensor.name]) for tensor, fraction in known}

    def run_batches(self, batches: Iterable[Values]) -> Values:
        """The outputs of all batches, those of one name joined along the first dimension.

        Raises: DataError: there are several, but the first dimension is no batch. Otherwise as `run`.
        """
        parts: list[Values] = []
        for batch in batches:
            if parts and not self.batch:
                raise DataError(
                    f"{self.path}: its first dimension is no batch (rows depend on one another), so that the results of"
                    " several runs cannot be joined; give data for one"
                )
            parts.append(self.run(batch))
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self.outputs}

    def close(self) -> None:
        self._session.close()

    def _permuted(self, array: Array, perm: Sequence[int]) -> Array:
        return array.transpose(perm) if self._channels_last and array.ndim == 4 else array
