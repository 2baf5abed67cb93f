"""Splitting images into phases, so that strided and unpadded windows become taps at constant distances."""

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.layout import LANE, VECTOR, Planes, Window, round_up
from openwork.backends.cpu.plan import Address, Place, Plan, Value, padding_word


def phase_offsets(
    window: Window, ky: NDArray[np.integer], kx: NDArray[np.integer], planes: int, stride: int, row: int
) -> NDArray[np.integer]:
    """Lanes from plane 0 of the first phase to the place that tap (ky, kx) reads in plane 0 of its own phase."""
    phases = window.phases()
    y, x = ky * window.dilations[0], kx * window.dilations[1]
    index = np.zeros(window.strides, np.int64)
    for number, phase in enumerate(phases):
        index[phase] = number
    phase_of_tap = index[y % window.strides[0], x % window.strides[1]]
    return phase_of_tap * planes * stride + y // window.strides[0] * row + x // window.strides[1]


def repack(plan: Plan, source: Place, output: str, window: Window, padding_bits: int) -> tuple[Address, int, int]:
    """Split an input into phases laid out like the output; returns their address, lanes a plane, lanes a row."""
    layout = source.layout
    assert isinstance(layout, Planes)
    like = plan.geometry.planes(plan.program.buffers[output].shape, "uint8" if layout.deep == 4 else "float32")
    phases = window.phases()
    stride = round_up(VECTOR * like.vectors + window.shift(0) * like.row + window.shift(1), VECTOR)
    target = plan.region(LANE * len(phases) * layout.planes * stride)
    word = padding_bits if layout.deep == 1 else padding_word(padding_bits)
    fields: dict[str, Value] = {
        "input": plan.planes(source),
        "output": target,
        "output_stride": stride,
        "output_row": like.row,
        "rows": like.height + window.shift(0),
        "columns": like.width + window.shift(1),
        "phases": len(phases),
        "phase": plan.param(np.array(phases, np.int32)),
        "stride": list(window.strides),
        "pad": [window.pads[0], window.pads[1]],
        "images": layout.images,
        "padding": word,
    }
    plan.call("x32_repack", fields, layout.planes * len(phases))
    return target, stride, like.row
