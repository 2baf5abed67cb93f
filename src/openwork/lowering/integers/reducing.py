"""Means on integers."""

from dataclasses import replace

from openwork.lowering.integers.site import Site, StaysFloat, requantize
from openwork.lowering.steps import AveragePool, Mean, Step


def averaged(step: Mean | AveragePool, count: int, site: Site) -> Step:
    [(source, x)], (target, y) = site.inputs, site.output
    if x.farthest * count >= 2**31:
        raise StaysFloat("its int32 accumulator could overflow")
    return replace(step, input=source, output=target, input_zero_point=x.zero_point, requantize=requantize(x, y))
