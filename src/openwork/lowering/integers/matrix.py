"""Products of two activations on integers."""

from dataclasses import replace

import numpy as np

from openwork.lowering.draft import Draft
from openwork.lowering.integers.rescaling import requantize
from openwork.lowering.integers.site import Site, StaysFloat
from openwork.lowering.steps import MatMul, Step


def multiplied(step: MatMul, site: Site, draft: Draft) -> Step:
    """The product of the scales stands where a weight's scale would."""
    ((a_name, a), (b_name, b)), (target, y) = site.inputs, site.output
    inner = draft.buffers[a_name].shape[-1]
    if a.farthest * b.farthest * inner >= 2**31:
        raise StaysFloat("its int32 accumulator could overflow")
    to = requantize(site, a, y, np.array([b.scale], np.float32))
    return replace(
        step, inputs=(a_name, b_name), output=target, zero_points=(a.zero_point, b.zero_point), requantize=to
    )
