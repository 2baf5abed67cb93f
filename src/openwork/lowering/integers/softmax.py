"""Softmax on integers, where they round as TensorFlow Lite has it."""

import numpy as np

from openwork.lowering.draft import Draft
from openwork.lowering.integers.site import Site, StaysFloat
from openwork.lowering.steps import FixedSoftmax, Softmax, Step
from openwork.lowering.steps.fixed_point import exponentials

# The sum of exponentials has 12 bits before the point.
MOST_SUMMANDS = 4095


def fixed_softmax(step: Softmax, site: Site, draft: Draft) -> Step:
    """Bytes to bytes of scale 1/256 that begin at their type's smallest: what TensorFlow Lite prescribes."""
    [(source, x)], (target, y) = site.inputs, site.output
    if site.rounding != "q31" or step.logarithm:
        raise StaysFloat("it has no integer form")
    limits = np.iinfo(y.dtype)
    whole = (y.low, y.high) == (limits.min, limits.max)
    if not whole or (x.bits, y.bits, y.scale, y.zero_point) != (8, 8, 1 / 256, limits.min):
        raise StaysFloat("its output is not 8 bits of scale 1/256 from the smallest integer on")
    if draft.buffers[source].shape[step.axis] > MOST_SUMMANDS:
        raise StaysFloat(f"it sums more than {MOST_SUMMANDS} numbers")
    return FixedSoftmax(step.name, source, target, step.axis, exponentials(x.scale))
