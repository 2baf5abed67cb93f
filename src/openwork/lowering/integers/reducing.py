"""Means and sums on integers."""

from collections.abc import Sequence
from dataclasses import replace

from openwork.lowering.draft import Draft
from openwork.lowering.integers.rescaling import requantize, requantize_mean, rescaled, whole_mean
from openwork.lowering.integers.site import Site, StaysFloat
from openwork.lowering.requantize import WholeMean
from openwork.lowering.steps import AveragePool, Mean, Reduce, Step


def averaged(step: Mean | AveragePool, count: int, site: Site, draft: Draft) -> Sequence[Step]:
    """A mean of `count` elements, or fewer where padding is in a window.

    A mean in the input's own coding is rescaled afterwards where the output is coded differently.
    """
    [(source, x)], (target, y) = site.inputs, site.output
    if x.farthest * count >= 2**31:
        raise StaysFloat("its int32 accumulator could overflow")
    # TensorFlow Lite rounds the means of its pools to whole numbers, whose count differs from window to window.
    is_pool = isinstance(step, AveragePool) and site.rounding == "q31"
    to = whole_mean(x) if is_pool else requantize_mean(site, x, y, count)
    step = replace(step, input=source, output=target, input_zero_point=x.zero_point, requantize=to)
    if not isinstance(to, WholeMean):
        return [step]
    if x.same_reals(y):
        return [replace(step, requantize=whole_mean(y))]
    between = draft.add_buffer(f"{target}/{step.name}", draft.buffers[target].shape, x.dtype)
    rescale = rescaled(f"{step.name}/rescale", between, target, site, x, y)
    return [replace(step, output=between), rescale]


def summed(step: Reduce, count: int, site: Site) -> Step:
    """A sum of `count` elements."""
    [(source, x)], (target, y) = site.inputs, site.output
    if x.farthest * count >= 2**31:
        raise StaysFloat("its int32 accumulator could overflow")
    return replace(step, input=source, output=target, input_zero_point=x.zero_point, requantize=requantize(site, x, y))
