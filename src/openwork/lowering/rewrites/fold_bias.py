"""A row that is added to a matrix product is the bias of the layer."""

from collections import Counter
from dataclasses import replace
from itertools import chain

from openwork.lowering.arithmetic import UNBOUNDED
from openwork.lowering.draft import Draft
from openwork.lowering.steps import Add, FullyConnected, Step


def fold_bias(draft: Draft) -> None:
    """Let a float fully connected layer take in the constant row that is added to its result.

    before: y = FullyConnected(x); z = Add(y, row)
    after:  z = FullyConnected(x, bias=row)

    The same floats are added in the same order. Requires: y is read by nothing else and is no output.
    """
    reads = Counter(chain(draft.outputs, chain.from_iterable(step.reads for step in draft.steps)))
    steps: dict[str, Step] = {}
    for step in draft.steps:
        layer = _with_bias(step, steps, reads, draft) if isinstance(step, Add) else None
        if isinstance(step, Add) and layer is not None:
            before = step.inputs[0] if step.inputs[0] in steps else step.inputs[1]
            del steps[before], draft.buffers[before]
        steps[step.output] = step if layer is None else layer
    draft.steps = list(steps.values())


def _with_bias(add: Add, steps: dict[str, Step], reads: Counter[str], draft: Draft) -> FullyConnected | None:
    """The layer in front of an addition with its row as bias, if that can be."""
    for product, row in (add.inputs, add.inputs[::-1]):
        layer = steps.get(product)
        if not isinstance(layer, FullyConnected) or row not in draft.constants or reads[product] != 1:
            continue
        channels = draft.shape_of(product)[-1]
        array = draft.constants[row]
        fits = array.size == channels and array.shape[-1:] == (channels,) and array.ndim <= len(draft.shape_of(product))
        if layer.bias is None and layer.bounds == UNBOUNDED and add.bounds == UNBOUNDED and fits:
            bias = row if array.ndim == 1 else draft.add_constant(f"{row}/row", array.reshape(-1))
            return replace(layer, output=add.output, bias=bias)
    return None
