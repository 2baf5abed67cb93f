"""Hold two models or artifacts against each other, output by output, then tensor by tensor."""

from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from openwork.deploy.difference import Difference, cosine_distance, difference, value_range
from openwork.deploy.networks import Network, Values
from openwork.deploy.tensors import random_inputs
from openwork.deploy.tolerance import TOLERANCES, Arithmetic
from openwork.errors import DataError
from openwork.frontends import TensorSpec
from openwork.graph import evaluate


@dataclass(frozen=True)
class Comparison:
    """Two networks on the same inputs.

    outputs: each output of the one, held against the other's.
    first_diverging: the first tensor, in the one's order, that both have and in which they differ by more than the
        tolerance; None if the outputs agree, or if no common tensor inside differs.
    """

    outputs: tuple[Difference, ...]
    first_diverging: Difference | None

    @property
    def passed(self) -> bool:
        return all(output.passed for output in self.outputs)


def compare(
    one: Network, other: Network, inputs: Values | None = None, *, seed: int = 0, within: float | None = None
) -> Comparison:
    """Compare two networks.

    Args:
        one, other: as `open_networks` gives them.
        inputs: by name, images channels first; random ones of `seed` if None.
        within: the difference that passes, as a fraction of the range of the other's tensor. If None, what is allowed
            of float sums where both compute in floats, and of integers made of them otherwise.
    Raises: DataError: the two have different inputs or outputs, or `inputs` does not fit.
    """
    _check_alike(one, other)
    values = random_inputs(one.inputs, seed) if inputs is None else inputs
    arithmetic = Arithmetic.FLOAT if one.in_floats and other.in_floats else Arithmetic.REQUANTIZED
    fraction = TOLERANCES[arithmetic] if within is None else within
    outputs = _differences(one.outputs, one.run(values), other.run(values), fraction)
    if len(outputs) != len(one.outputs):
        raise DataError(
            f"{one.path} and {other.path}: outputs of one name differ in shape or dtype; compare networks of one kind"
        )
    if all(output.passed for output in outputs):
        return Comparison(outputs, None)
    theirs = set(other.inner)
    common = [name for name in one.inner if name in theirs]
    inner = _differences(common, one.run(values, common), other.run(values, common), fraction)
    return Comparison(outputs, next((tensor for tensor in inner if not tensor.passed), None))


def output_distances(model: ir.Model, reference: ir.Model, inputs: Values) -> dict[str, float]:
    """The cosine distance of each output of a model from the reference's, by name, both run by onnxruntime.

    Raises: ModelError: onnxruntime refuses a model. DataError: `inputs` does not fit.
    """
    results, references = evaluate(model, inputs), evaluate(reference, inputs)
    return {name: cosine_distance(results[name], right) for name, right in references.items()}


def _check_alike(one: Network, other: Network) -> None:
    for kind, ours, theirs in (
        ("inputs", [_described(x) for x in one.inputs], [_described(x) for x in other.inputs]),
        ("outputs", list(one.outputs), list(other.outputs)),
    ):
        if sorted(ours) != sorted(theirs):
            raise DataError(
                f"{one.path} has the {kind} {', '.join(ours)}, but {other.path} {', '.join(theirs)};"
                " compare networks that take and give the same"
            )


def _described(tensor: TensorSpec) -> str:
    return f"{tensor.name} {tensor.dtype}{list(tensor.shape)}"


def _differences(names: Iterable[str], one: Values, other: Values, fraction: float) -> tuple[Difference, ...]:
    """How far tensors of `one` lie from `other`'s, where both are arrays of one shape and dtype."""
    return tuple(
        difference(name, one[name], other[name], fraction * value_range(other[name]))
        for name in names
        if (one[name].shape, one[name].dtype) == (other[name].shape, other[name].dtype)
    )
