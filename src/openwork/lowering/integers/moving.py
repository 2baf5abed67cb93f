"""Integers moved as they are, and rescaled where inputs and output are coded differently."""

from collections.abc import Sequence
from dataclasses import replace

from openwork.lowering.draft import Draft
from openwork.lowering.integers.site import Site, requantize
from openwork.lowering.steps import Concat, MaxPool, Rescale, Reshape, Step, Transpose


def moved(step: MaxPool | Transpose | Reshape, site: Site, draft: Draft) -> Sequence[Step]:
    """Integers moved as they are, and rescaled afterwards where the output is coded differently."""
    [(source, x)], (target, y) = site.inputs, site.output
    if x == y:
        return [replace(step, input=source, output=target)]
    between = draft.add_buffer(f"{target}/{step.name}", draft.buffers[target].shape, x.dtype)
    moved = replace(step, input=source, output=between)
    return [moved, Rescale(f"{step.name}/rescale", between, target, x.zero_point, requantize(x, y))]


def concatenated(step: Concat, site: Site, draft: Draft) -> Sequence[Step]:
    """Each input that is coded differently than the output is rescaled first."""
    target, y = site.output
    rescales: list[Step] = []
    names = []
    for index, (source, x) in enumerate(site.inputs):
        if x == y:
            names.append(source)
            continue
        names.append(draft.add_buffer(f"{source}/{step.name}", draft.buffers[source].shape, y.dtype))
        name = f"{step.name}/rescale{index}"
        rescales.append(Rescale(name, source, names[-1], x.zero_point, requantize(x, y)))
    return [*rescales, replace(step, inputs=tuple(names), output=target)]
