"""Elementwise steps on integers."""

from dataclasses import replace

from openwork.lowering.draft import Draft
from openwork.lowering.integers.site import ONE, Site, StaysFloat, requantize, requantize_scale
from openwork.lowering.requantize import AddScales
from openwork.lowering.steps import Add, Clip, Rescale, Step


def add(step: Add, site: Site, draft: Draft) -> Step:
    ((a_name, a), (b_name, b)), (target, y) = site.inputs, site.output
    if len({draft.buffers[name].shape for name in (a_name, b_name, target)}) > 1:
        raise StaysFloat("integers are added without broadcasting")
    scales = (requantize_scale(a.scale, ONE, y.scale).item(), requantize_scale(b.scale, ONE, y.scale).item())
    scaled = AddScales(scales, (a.zero_point, b.zero_point), y.zero_point, y.low, y.high)
    return replace(step, inputs=(a_name, b_name), output=target, requantize=scaled)


def clipped(step: Clip, site: Site) -> Step:
    [(source, x)], (target, y) = site.inputs, site.output
    return Rescale(step.name, source, target, x.zero_point, requantize(x, y.within(step.bounds)))
