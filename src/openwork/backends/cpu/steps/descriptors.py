"""Parts of step descriptors that several steps fill (see csrc/cpu/runtime.h)."""

import numpy as np

from openwork.backends.cpu.plan import Plan, Value, stored_zero_point
from openwork.lowering import Add, AddScales, Bounds, Requantize

# Work items for each thread, so that uneven rows and disturbed threads even out.
ITEMS_A_THREAD = 8


def zero_point(plan: Plan, to: Requantize | AddScales, output: str) -> int:
    """The zero point of an integer output, as stored."""
    return stored_zero_point(to.zero_point, plan.dtype(output))


def bounds(bounds: Bounds) -> dict[str, Value]:
    return {"low": float(bounds.low), "high": float(bounds.high)}


def requantize(plan: Plan, to: Requantize, dtype: str, channels: int) -> dict[str, Value]:
    """struct ow_requantize for results stored as `dtype`; scales are repeated to `channels`, rounded up to four."""
    scale = np.broadcast_to(to.scale.astype(np.float32), (channels,))
    shift = stored_zero_point(0, dtype)
    return {
        "scale": plan.param(np.pad(scale, (0, -channels % 4))),
        "zero_point": float(to.zero_point + shift),
        "low": float(to.low + shift),
        "high": float(to.high + shift),
    }


def add_scales(plan: Plan, add: Add, first: str | None) -> dict[str, Value]:
    """struct ow_add_scales; `first` is how the first operand is stored if it is no buffer."""
    scales = add.requantize
    assert scales is not None
    dtypes = (first or plan.dtype(add.inputs[0]), plan.dtype(add.inputs[1]))
    shift = stored_zero_point(0, plan.dtype(add.output))
    return {
        "scale": list(scales.scales),
        "zero_points": [
            float(stored_zero_point(zero, dtype)) for zero, dtype in zip(scales.zero_points, dtypes, strict=True)
        ],
        "zero_point": float(scales.zero_point + shift),
        "low": float(scales.low + shift),
        "high": float(scales.high + shift),
    }
