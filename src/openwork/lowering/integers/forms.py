"""Which steps have an integer form."""

from collections.abc import Sequence
from math import prod

from openwork.lowering.draft import Draft
from openwork.lowering.integers.elementwise import add, clipped
from openwork.lowering.integers.moving import concatenated, moved
from openwork.lowering.integers.reducing import averaged
from openwork.lowering.integers.site import Site, StaysFloat
from openwork.lowering.integers.weighted import weighted
from openwork.lowering.steps import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    FullyConnected,
    MaxPool,
    Mean,
    Reshape,
    Step,
    Transpose,
)


def on_integers(site: Site, draft: Draft) -> Sequence[Step]:
    """The steps that take the place of a site. Raises: StaysFloat: it has no integer form, or no proof."""
    match site.step:
        case Conv() | FullyConnected():
            return [weighted(site.step, site, draft)]
        case Add():
            return [add(site.step, site, draft)]
        case Mean():
            count = prod(draft.buffers[site.step.input].shape[axis] for axis in site.step.axes)
            return [averaged(site.step, count, site)]
        case AveragePool():
            return [averaged(site.step, prod(site.step.kernel), site)]
        case MaxPool() | Transpose() | Reshape():
            return moved(site.step, site, draft)
        case Concat():
            return concatenated(site.step, site, draft)
        case Clip():
            return [clipped(site.step, site)]
    raise StaysFloat("it has no integer form")
