"""Elementwise steps on integers."""

from collections.abc import Sequence
from itertools import zip_longest

import numpy as np

from openwork.lowering.arithmetic import Array, Buffer, dequantized, whole
from openwork.lowering.draft import Draft
from openwork.lowering.fixed_functions import absolute, hard_swish, leaky_relu
from openwork.lowering.integers.rescaling import requantize_add, requantize_product, rescaled
from openwork.lowering.integers.site import Coding, Site, StaysFloat
from openwork.lowering.steps import Add, Binary, Clip, Dequantize, Lookup, Step, Unary


def function(step: Unary | Add | Binary, site: Site, draft: Draft) -> Step:
    """A function of one activation is looked up; sums, differences and products of two are computed."""
    if len(site.inputs) == 1:
        return looked_up(step, site, draft)
    match step:
        case Add():
            return added(step, site, draft)
        case Binary(function="sub"):
            return added(step, site, draft, subtract=True)
        case Binary(function="mul"):
            return multiplied(step, site)
    raise StaysFloat("it has no integer form")


def added(step: Add | Binary, site: Site, draft: Draft, *, subtract: bool = False) -> Add:
    """In onnxruntime's order: the first operand is added last, unless one element of it is for a whole row."""
    ((a_name, a), (b_name, b)), (target, y) = site.inputs, site.output
    last = int(_is_repeated(draft.shape_of(a_name), draft.shape_of(b_name)))
    to = requantize_add(site, a, b, y, subtract=subtract, last=last)
    return Add(step.name, (a_name, b_name), target, requantize=to)


def _is_repeated(a: Sequence[int], b: Sequence[int]) -> bool:
    """Whether broadcasting takes one element of a for neighbouring ones of b."""
    rows = zip_longest(reversed(a), reversed(b), fillvalue=1)
    return next((mine == 1 for mine, other in rows if (mine, other) != (1, 1)), True)


def multiplied(step: Binary, site: Site) -> Binary:
    ((a_name, a), (b_name, b)), (target, y) = site.inputs, site.output
    if a.farthest * b.farthest >= 2**31:
        raise StaysFloat("its int32 product could overflow")
    to = requantize_product(site, a, b, y)
    return Binary(step.name, (a_name, b_name), target, "mul", (a.zero_point, b.zero_point), to)


def looked_up(step: Unary | Add | Binary, site: Site, draft: Draft) -> Lookup:
    """Quantize(function(Dequantize(i))) for each of the 256 integers i: in fixed point where TensorFlow Lite prescribes
    that and the model rounds like it, in the float32 arithmetic of these steps elsewhere."""
    [(source, x)], (target, y) = site.inputs, site.output
    if (x.bits, y.bits) != (8, 8):
        raise StaysFloat("it has no integer form but for 8 bits")
    if draft.shape_of(source) != draft.shape_of(target):
        raise StaysFloat("its constant has more dimensions than its input")
    integers = np.arange(256, dtype=np.uint8).view(x.dtype)
    centred = integers.astype(np.int64) - x.zero_point
    try:
        results = _in_fixed_point(step, centred, x, y) if site.rounding == "q31" else None
    except OverflowError as error:
        raise StaysFloat("its scales are too far apart") from error
    if results is None:
        reals = dequantized(integers, x.zero_point, x.scale)
        results = whole(_in_floats(step, reals, y, draft), site.rounding)
    table = np.clip(results + y.zero_point, y.low, y.high).astype(y.dtype)
    return Lookup(step.name, source, target, table)


def _in_fixed_point(step: Unary | Add | Binary, x: Array, from_: Coding, to: Coding) -> Array | None:
    """In steps of the output; None where TensorFlow Lite computes in floats too."""
    match step:
        case Unary(function="abs"):
            return absolute(x, from_.scale, to.scale)
        case Unary(function="leaky_relu", parameters=(alpha,)) if alpha >= 0:
            return leaky_relu(x, from_.scale, to.scale, alpha)
        case Unary(function="hard_swish"):
            return hard_swish(x, from_.scale, to.scale)
    return None


def _in_floats(step: Unary | Add | Binary, reals: Array, y: Coding, draft: Draft) -> Array:
    """In steps of the output. Raises: StaysFloat: not all are defined."""
    operands = {name: draft.constants.get(name, reals) for name in step.reads}
    with np.errstate(all="ignore"):
        results = step.compute(operands, Buffer((256,), "float32")).reshape(256) / np.float32(y.scale)
    if np.isnan(results).any():
        raise StaysFloat("it is not defined for all integers of its input")
    return results


def clipped(step: Clip, site: Site) -> Step:
    [(source, x)], (target, y) = site.inputs, site.output
    return rescaled(step.name, source, target, site, x, y.within(step.bounds, site.rounding))


def recoded(step: Dequantize, site: Site) -> Step:
    """Integers that are only coded anew."""
    [(source, x)], (target, y) = site.inputs, site.output
    return rescaled(step.name, source, target, site, x, y)
