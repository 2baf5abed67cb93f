"""Pooling and means."""

from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.layout import VECTOR, Planes, Window, window_of
from openwork.backends.cpu.plan import Plan, Value, stored_zero_point
from openwork.backends.cpu.steps.descriptors import requantize, zero_point
from openwork.backends.cpu.steps.moving import permuted
from openwork.backends.cpu.steps.repack import phase_offsets, repack
from openwork.lowering import AveragePool, MaxPool, Mean


def pool(plan: Plan, step: MaxPool | AveragePool) -> None:
    dtype = plan.dtype(step.input)
    window = window_of(step, step.kernel)
    source = plan.planar(step.input)
    layout = source.layout
    assert isinstance(layout, Planes)
    if isinstance(step, MaxPool):
        # Padding never wins a maximum: it is the smallest value there is.
        edge = int(np.float32(-inf).view(np.uint32)) if dtype == "float32" else 0
        padding = source.padding
    else:
        edge = 0 if step.requantize is None else stored_zero_point(step.input_zero_point, dtype)
        padding = 0 if step.requantize is None else zero_point(plan, step.requantize, step.output)
    at, stride, row = repack(plan, source, step.output, window, edge)
    ky, kx = (axis.ravel() for axis in np.indices(window.kernel))
    offsets = phase_offsets(window, ky, kx, layout.groups, stride, row)
    target = plan.new_planar(step.output, padding)
    assert isinstance(target.layout, Planes)
    fields: dict[str, Value] = {
        "input": at,
        "input_stride": stride,
        "phases": len(window.phases()),
        "images": layout.images,
        "output": plan.planes(target),
        "taps": len(offsets),
        "offsets": plan.param(offsets.astype(np.int32)),
    }
    kind = "f32" if dtype == "float32" else "u8"
    if isinstance(step, MaxPool):
        plan.call(f"{kind}_max_pool", fields, target.layout.planes)
        return
    fields["count"] = plan.param(_counts(step, window, layout, target.layout))
    if step.requantize is not None:
        fields["input_zero_point"] = float(edge)
        fields["requantize"] = requantize(plan, step.requantize, plan.dtype(step.output), 1)
    plan.call(f"{kind}_average_pool", fields, target.layout.planes)


def _counts(step: AveragePool, window: Window, source: Planes, target: Planes) -> NDArray[np.float32]:
    """float32[16 * vectors]: how many elements each output pixel's window averages over."""
    per_axis = []
    for axis, size, out in ((0, source.height, target.height), (1, source.width, target.row)):
        first = np.arange(out)[:, None] * window.strides[axis] - window.pads[axis]
        at = first + np.arange(window.kernel[axis])
        low, high = (-window.pads[axis], size + window.pads[axis + 2]) if step.count_include_pad else (0, size)
        per_axis.append(((at >= low) & (at < high)).sum(1))
    counts = np.outer(*per_axis).ravel().astype(np.float32)
    counts = np.pad(counts, (0, VECTOR * target.vectors - len(counts)))
    return np.maximum(counts, np.float32(1))


def mean(plan: Plan, step: Mean) -> None:
    shape = plan.shape(step.input)
    kind = "f32" if step.requantize is None else "u8"
    zero = stored_zero_point(step.input_zero_point, plan.dtype(step.input)) if step.requantize else 0
    fields: dict[str, Value] = {"count": prod(shape[axis] for axis in step.axes)}
    if step.requantize is not None:
        fields["input_zero_point"] = float(zero)
        fields["requantize"] = requantize(plan, step.requantize, plan.dtype(step.output), 1)
    if plan.is_planar(step.input) and step.axes == tuple(range(2, len(shape))):
        source = plan.planar(step.input, zero)
        layout = source.layout
        assert isinstance(layout, Planes)
        fields |= {"input": plan.planes(source), "images": layout.images, "channels": layout.channels}
        kernel, items = f"{kind}_mean_planar", layout.planes
    else:
        kept = [axis for axis in range(len(shape)) if axis not in step.axes]
        items = prod(shape[axis] for axis in kept)
        fields |= {"plain": permuted(plan, plan.plain(step.input), [*kept, *step.axes]), "rows": items}
        kernel = f"{kind}_mean_plain"
    fields["output"] = plan.new_plain(step.output).address
    plan.call(kernel, fields, items)
