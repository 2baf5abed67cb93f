"""Elementwise steps on integers."""

import numpy as np

from openwork.lowering.arithmetic import Buffer, dequantized, rounded
from openwork.lowering.draft import Draft
from openwork.lowering.integers.rescaling import requantize, requantize_add
from openwork.lowering.integers.site import Site, StaysFloat
from openwork.lowering.steps import Add, Binary, Clip, Dequantize, Lookup, Rescale, Step, Unary


def function(step: Unary | Add | Binary, site: Site, draft: Draft) -> Step:
    """A function of one activation is looked up; sums, differences and products of two are computed."""
    if len(site.inputs) == 1:
        return looked_up(step, site, draft)
    match step:
        case Add():
            return added(step, site)
        case Binary(function="sub"):
            return added(step, site, subtract=True)
        case Binary(function="mul"):
            return multiplied(step, site)
    raise StaysFloat("it has no integer form")


def added(step: Add | Binary, site: Site, *, subtract: bool = False) -> Add:
    ((a_name, a), (b_name, b)), (target, y) = site.inputs, site.output
    return Add(step.name, (a_name, b_name), target, requantize=requantize_add(site, a, b, y, subtract=subtract))


def multiplied(step: Binary, site: Site) -> Binary:
    """The scale of the second operand stands where a weight's scale would."""
    ((a_name, a), (b_name, b)), (target, y) = site.inputs, site.output
    if a.farthest * b.farthest >= 2**31:
        raise StaysFloat("its int32 product could overflow")
    to = requantize(site, a, y, np.array([b.scale], np.float32))
    return Binary(step.name, (a_name, b_name), target, "mul", (a.zero_point, b.zero_point), to)


def looked_up(step: Unary | Add | Binary, site: Site, draft: Draft) -> Lookup:
    """Quantize(function(Dequantize(i))) for each of the 256 integers i, in the float32 arithmetic of these steps."""
    [(source, x)], (target, y) = site.inputs, site.output
    if (x.bits, y.bits) != (8, 8):
        raise StaysFloat("it has no integer form but for 8 bits")
    if draft.shape_of(source) != draft.shape_of(target):
        raise StaysFloat("its constant has more dimensions than its input")
    integers = np.arange(256, dtype=np.uint8).view(x.dtype)
    reals = dequantized(integers, x.zero_point, x.scale)
    operands = {name: draft.constants.get(name, reals) for name in step.reads}
    with np.errstate(all="ignore"):
        results = step.compute(operands, Buffer((256,), "float32")).reshape(256) / np.float32(y.scale)
    if np.isnan(results).any():
        raise StaysFloat("it is not defined for all integers of its input")
    table = rounded(results, y.zero_point, y.low, y.high).astype(y.dtype)
    return Lookup(step.name, source, target, table)


def clipped(step: Clip, site: Site) -> Step:
    [(source, x)], (target, y) = site.inputs, site.output
    return Rescale(step.name, source, target, x.zero_point, requantize(site, x, y.within(step.bounds)))


def recoded(step: Dequantize, site: Site) -> Step:
    """Integers that are only coded anew."""
    [(source, x)], (target, y) = site.inputs, site.output
    return Rescale(step.name, source, target, x.zero_point, requantize(site, x, y))
