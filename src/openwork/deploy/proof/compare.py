"""Hold two models or artifacts against each other, output by output, then tensor by tensor."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from openwork.backends.cpu import WIDTHS
from openwork.deploy.networks import CompiledNetwork, Network, OnnxNetwork, Values, check_alike
from openwork.deploy.proof.bounds import evaluated
from openwork.deploy.proof.conditioning import LEAST, LEAST_OF_INTEGERS
from openwork.deploy.proof.difference import ANYTHING, Difference, bounded, difference, value_range
from openwork.deploy.proof.original import DYNAMIC
from openwork.deploy.proof.tolerance import Arithmetic, arithmetic_of
from openwork.deploy.tensors import QUANTIZED as QUANTIZED_DTYPES
from openwork.deploy.tensors import random_inputs
from openwork.errors import DataError, UnsupportedError
from openwork.frontends import TensorSpec
from openwork.graph import dynamic_layers
from openwork.lowering import Program, Step, lower
from openwork.lowering.arithmetic import Array
from openwork.quantization.analysis import ConstantPart, Watch, constant_parts

# How many times as far as noise moves an output two networks may differ there. Half a step of everything is not all
# that quantizing costs: what is cut off comes on top. Between two quantized networks it is more than enough.
ROUNDED = 8.0
QUANTIZED = 6.0


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same inputs.

    outputs: each output of the one, held against the other's.
    first_diverging: None if the outputs agree. Of a model and an artifact the first result of a layer of the lowered
        model that the artifact computes otherwise, from the same values; else the first tensor, in the one's order,
        that both have and in which they differ by more than the tolerance; None if there is no such tensor.
    constant: by the path of a network, the outputs and parts of outputs that are constant in it, but not in the other.
    saturation: by the path of a quantized model, how far onnxruntime's own kernels are off as this processor runs them,
        as a share of an output's range.
    """

    outputs: tuple[Difference, ...]
    first_diverging: Difference | None
    constant: Mapping[str, tuple[ConstantPart, ...]] = field(default_factory=dict)
    saturation: Mapping[str, float] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(output.passed for output in self.outputs)


def compare(
    one: Network, other: Network, inputs: Values | None = None, *, seed: int = 0, within: float | None = None
) -> Comparison:
    """Compare two networks.

    Args:
        one, other: as `open_networks` gives them.
        inputs: by name, images laid out as in the models; if None, random ones of `seed` that both can hold.
        within: the difference that passes, as a fraction of the range of the other's tensor. If None, a few times as
            far as noise moves an output: as large as rounding where both compute in floats, else half a step of each
            quantized tensor. An index or a truth must be equal, unless noise moves it, or one is an artifact of the
            other and no step of it is wrong.
    Raises: DataError: the two have different inputs or outputs, or `inputs` does not fit.
    """
    check_alike([one, other])
    _check_outputs(one, other)
    values = random_inputs(_narrowest(one, other), seed) if inputs is None else inputs
    results, references = one.run(values), other.run(values)
    fractions = _fractions(one, other, values, references) if within is None else dict.fromkeys(one.outputs, within)
    outputs = _differences(results, references, fractions)
    if len(outputs) != len(one.outputs):
        raise DataError(
            f"{one.path} and {other.path}: outputs of one name differ in shape or dtype; compare networks of one kind"
        )
    found = Comparison(outputs, None, *_lost(one, other, values, results, references))
    if found.passed:
        return found
    pair = _model_and_artifact(one, other)
    wrong = None if pair is None else _wrong_layer(*pair, values, within)
    if pair is not None and wrong is None and within is None:
        chosen = {name for name in one.outputs if _is_chosen(references[name])}
        outputs = tuple(
            replace(each, correct_ratio=1.0, tolerance=ANYTHING) if each.name in chosen else each for each in outputs
        )
        if all(output.passed for output in outputs):
            return replace(found, outputs=outputs)
    theirs = set(other.inner)
    common = [name for name in one.inner if name in theirs]
    worst = max(fraction for fraction in fractions.values())
    inner = _differences(one.run(values, common), other.run(values, common), dict.fromkeys(common, worst))
    first = wrong or next((tensor for tensor in inner if not tensor.passed), None)
    return replace(found, outputs=outputs, first_diverging=first)


def _lost(
    one: Network, other: Network, inputs: Values, results: Values, references: Values
) -> tuple[dict[str, tuple[ConstantPart, ...]], dict[str, float]]:
    """What is constant in one of two networks only, and how far onnxruntime's own kernels are off; each by path."""
    constant = {str(one.path): _constant(results, references), str(other.path): _constant(references, results)}
    models = {str(each.path): each for each in (one, other) if isinstance(each, OnnxNetwork)}
    saturation = {path: model.saturation(inputs) for path, model in models.items()}
    return {path: parts for path, parts in constant.items() if parts}, {
        path: share for path, share in saturation.items() if share
    }


def _constant(results: Values, references: Values) -> tuple[ConstantPart, ...]:
    watches = []
    for name, reference in references.items():
        watches.append(Watch(name, everywhere=True))
        watches[-1].update(reference, results[name])
    return constant_parts(watches)


def _narrowest(one: Network, other: Network) -> list[TensorSpec]:
    """The inputs of the one, quantized where the other's are."""
    theirs = {tensor.name: tensor.quantization for tensor in other.inputs}
    return [replace(tensor, quantization=tensor.quantization or theirs[tensor.name]) for tensor in one.inputs]


def _fractions(one: Network, other: Network, inputs: Values, references: Values) -> dict[str, float]:
    """How far each output may be off, as a fraction of its range in `references`."""
    if any(isinstance(network, OnnxNetwork) and dynamic_layers(network.model) for network in (one, other)):
        return dict.fromkeys(one.outputs, DYNAMIC)
    in_floats = one.in_floats and other.in_floats
    told = [network for network in (one, other) if in_floats or not network.in_floats]
    moved = [network.moved(inputs) for network in told]
    fractions = {}
    for name in one.outputs:
        furthest, width = max(each[name] for each in moved), value_range(references[name]) or 1.0
        if _is_chosen(references[name]):
            fractions[name] = ANYTHING / width if furthest else 0.0
        elif in_floats:
            fractions[name] = max(LEAST, ROUNDED * furthest / width)
        elif one.in_floats or other.in_floats:
            fractions[name] = max(LEAST, QUANTIZED * furthest / width)
        else:
            fractions[name] = max(LEAST_OF_INTEGERS, furthest / width)
    return fractions


def _is_chosen(reference: Array) -> bool:
    """Whether it holds indices or truths rather than reals, or integers that stand for reals."""
    return reference.dtype != np.float32 and reference.dtype not in QUANTIZED_DTYPES


def _model_and_artifact(one: Network, other: Network) -> tuple[OnnxNetwork, CompiledNetwork] | None:
    match one, other:
        case (OnnxNetwork(), CompiledNetwork()):
            return one, other
        case (CompiledNetwork(), OnnxNetwork()):
            return other, one
    return None


def _wrong_layer(
    model: OnnxNetwork, artifact: CompiledNetwork, inputs: Values, within: float | None
) -> Difference | None:
    """The first step of a lowered model that differs from its meaning on what the artifact itself computed before it.

    None where none does, or the model cannot be compiled.
    """
    try:
        program = lower(model.model, WIDTHS)
    except UnsupportedError:
        return None
    computed = {**program.constants, **inputs, **artifact.run(inputs, artifact.inner)}
    for step in program.steps:
        buffer = program.buffers[step.output]
        with np.errstate(all="ignore"):
            reference = step.compute(computed, buffer).astype(buffer.dtype, copy=False)
        result = computed.setdefault(step.output, reference)
        if (result.shape, result.dtype) != (reference.shape, reference.dtype):
            return None  # another network, though some names are the same
        found = _held(step, program, computed, result, reference, within)
        if not found.passed:
            return found
    return None


def _held(
    step: Step, program: Program, computed: Values, result: Array, reference: Array, within: float | None
) -> Difference:
    if within is not None:
        return difference(step.output, result, reference, within * value_range(reference))
    if arithmetic_of(step, program) is Arithmetic.EXACT:
        return difference(step.output, result, reference, 0.0)
    evaluation = evaluated(step, computed, program.buffers[step.output], np.arange(result.size))
    return bounded(step.output, result, evaluation.value, evaluation.bound)


def _check_outputs(one: Network, other: Network) -> None:
    if sorted(one.outputs) != sorted(other.outputs):
        raise DataError(
            f"{one.path} gives {', '.join(one.outputs)}, but {other.path} {', '.join(other.outputs)};"
            " compare networks that give the same"
        )


def _differences(one: Values, other: Values, fractions: Mapping[str, float]) -> tuple[Difference, ...]:
    """How far tensors of `one` lie from `other`'s, where both are arrays of one shape and dtype."""
    return tuple(
        difference(name, one[name], other[name], fraction * value_range(other[name]))
        for name, fraction in fractions.items()
        if (one[name].shape, one[name].dtype) == (other[name].shape, other[name].dtype)
    )
