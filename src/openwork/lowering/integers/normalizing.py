"""Normalization on integers: exact sums, then one order of operations."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.draft import Draft
from openwork.lowering.integers.site import Site, StaysFloat
from openwork.lowering.steps import IntegerNormalize, Normalize

# Whole numbers below are exact in float64, and their square roots fit int32.
EXACT = 2**53


def normalized(step: Normalize, site: Site, draft: Draft) -> IntegerNormalize:
    """With constant scale and bias, which take in the output's scale; the input's scale goes into epsilon.

    Off the true value by half a step of the output, and by four roundings of float32.
    """
    [(source, x)], (target, y) = site.inputs, site.output
    if (x.bits, y.bits) != (8, 8):
        raise StaysFloat("it has no integer form but for 8 bits")
    shape = draft.buffers[source].shape
    count = prod(shape[axis] for axis in step.axes)
    if (2 * x.farthest * count) ** 2 >= EXACT:
        raise StaysFloat("its sums of squares could overflow")
    with np.errstate(over="ignore", under="ignore"):
        epsilon = np.float32(step.epsilon * (count / x.scale) ** 2)
        scale = _operand(step.scale, 1.0, draft) / np.float32(y.scale)
        bias = _operand(step.bias, 0.0, draft) / np.float32(y.scale)
        largest = scale * np.float32(count)  # the integer farthest from the mean is sqrt(count) deviations away
    if not (0 < epsilon < np.inf and np.isfinite(largest).all() and np.isfinite(bias).all()):
        raise StaysFloat("its epsilon, scale or bias does not fit float32 arithmetic")
    names = [draft.add_constant(f"{target}/{role}", array) for role, array in (("scale", scale), ("bias", bias))]
    constants = (x.zero_point, float(epsilon), names[0], names[1])
    to = (y.zero_point, y.low, y.high)
    return IntegerNormalize(step.name, source, target, step.axes, *constants, *to, step.centred)


def _operand(name: str | None, value: float, draft: Draft) -> NDArray[np.float32]:
    """A scale or bias; `value` where there is none."""
    return np.array([value], np.float32) if name is None else draft.constants[name]
