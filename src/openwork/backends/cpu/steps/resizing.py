"""Steps that resize or sample images."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.copying import work_items
from openwork.backends.cpu.descriptors import Rounding
from openwork.backends.cpu.layout import VECTOR, Plain, Planes
from openwork.backends.cpu.plan import Plan, Value, stored_zero_point
from openwork.backends.cpu.steps.moving import take
from openwork.lowering import FixedResize, GridSample, IntegerResize, Resize
from openwork.lowering.steps.resizing import FRACTION

# enums of f32_grid_sample.c.
MODES = {"nearest": 0, "linear": 1, "cubic": 2}
PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}


def resize(plan: Plan, step: Resize) -> None:
    shape = plan.shape(step.input)
    if all(axis.weights is None for axis in step.axes):
        tables = [np.arange(size) for size in shape]
        for each in step.axes:
            tables[each.axis] = tables[each.axis][each.places[:, 0]]
        take(plan, step.input, step.output, tables)
        return
    source = plan.plain(step.input).address
    for index, each in enumerate(step.axes):
        last = index == len(step.axes) - 1
        size, taps = each.places.shape
        outer, inner = prod(shape[: each.axis]), prod(shape[each.axis + 1 :])
        given, shape = shape[each.axis], (*shape[: each.axis], size, *shape[each.axis + 1 :])
        target = plan.new_plain(step.output).address if last else plan.region(Plain(shape, "float32").nbytes)
        items = work_items(plan, outer * size, prod(shape) * 4)
        weights = np.ones(each.places.shape, np.float32) if each.weights is None else each.weights
        fields: dict[str, Value] = {
            "input": source,
            "output": target,
            "outer": outer,
            "given": given,
            "size": size,
            "inner": inner,
            "taps": taps,
            "items": items,
            "places": plan.param(each.places.astype(np.int32)),
            "weights": plan.param(weights),
        }
        plan.call("f32_resize", fields, items)
        source = target


def integer_resize(plan: Plan, step: IntegerResize | FixedResize) -> None:
    """Images over their planes, other tensors plain."""
    shape = plan.shape(step.input)
    if len(shape) in (3, 4) and step.axes[0].axis >= 2:
        _resize_planes(plan, step, (2, 3) if len(shape) == 4 else (None, 2))
    else:
        _resize_plain(plan, step)


def _resize_planes(plan: Plan, step: IntegerResize | FixedResize, axes: tuple[int | None, int]) -> None:
    """axes: those of rows, if there are any, and columns."""
    source = plan.planar(step.input)
    zero = source.padding
    if isinstance(step, IntegerResize):
        zero = stored_zero_point(step.zero_point, plan.dtype(step.output))
    target = plan.new_planar(step.output, zero)
    assert isinstance(target.layout, Planes)
    fields: dict[str, Value] = {
        **_codings(plan, step),
        "planes_in": plan.planes(source),
        "planes_out": plan.planes(target),
        "rows": _taps(plan, step, axes[0]),
        "columns": _taps(plan, step, axes[1]),
    }
    plan.call("u8_resize_planes", fields, target.layout.planes)


def _resize_plain(plan: Plan, step: IntegerResize | FixedResize) -> None:
    shape, out = plan.shape(step.input), plan.shape(step.output)
    first, last = step.axes[0].axis, step.axes[-1].axis
    rows = first if first < last else None
    outer, inner = prod(shape[:first]), prod(shape[last + 1 :])
    items = work_items(plan, prod(out[:last]), prod(out))
    fields: dict[str, Value] = {
        **_codings(plan, step),
        "input": plan.plain(step.input).address,
        "output": plan.new_plain(step.output).address,
        "outer": outer,
        "given": [1 if rows is None else shape[rows], shape[last]],
        "inner": inner,
        "items": items,
        "rows": _taps(plan, step, rows),
        "columns": _taps(plan, step, last),
    }
    plan.call("u8_resize", fields, items)


def _codings(plan: Plan, step: IntegerResize | FixedResize) -> dict[str, Value]:
    """What integers stand for, as stored."""
    stored = stored_zero_point(0, plan.dtype(step.output))
    bounds: dict[str, Value] = {"low": float(step.low + stored), "high": float(step.high + stored)}
    if isinstance(step, FixedResize):
        to = {"rounding": Rounding.Q31.value, "zero_point": float(stored), **bounds}
        return {"input_zero_point": stored_zero_point(0, plan.dtype(step.input)), "requantize": to}
    return {
        "input_zero_point": stored_zero_point(step.input_zero_point, plan.dtype(step.input)),
        "input_scale": step.input_scale,
        "scale": step.scale,
        "requantize": {"zero_point": float(step.zero_point + stored), **bounds},
    }


def _taps(plan: Plan, step: IntegerResize | FixedResize, axis: int | None) -> dict[str, Value]:
    """The struct ow_taps of an axis, which may stay as it is; of one element if there is none."""
    found = next((each for each in step.axes if each.axis == axis), None)
    size = 1 if axis is None else plan.shape(step.input)[axis]
    places: NDArray[np.generic] = np.tile(np.arange(size, dtype=np.int32)[:, None], 2)
    first = np.int32(1 << FRACTION) if isinstance(step, FixedResize) else np.float32(1)
    weights: NDArray[np.generic] = np.tile(np.array([first, 0], first.dtype), (size, 1))
    if found is not None and found.weights is not None:
        places, weights, size = found.places, found.weights, len(found.places)
    more = ((0, 0), (0, -size % VECTOR))
    return {
        "size": size,
        "stride": size + more[1][1],
        "places": plan.param(np.pad(places.T, more)),
        "weights": plan.param(np.pad(weights.T, more)),
    }


def grid_sample(plan: Plan, step: GridSample) -> None:
    """Over plain images."""
    image, grid = step.inputs
    shape, out = plan.shape(image), plan.shape(step.output)
    dimensions, points = len(shape) - 2, prod(out[2:])
    sources = plan.plain(image).address, plan.plain(grid).address
    items = work_items(plan, out[0] * points, prod(out) * 4)
    fields: dict[str, Value] = {
        "input": sources[0],
        "grid": sources[1],
        "output": plan.new_plain(step.output).address,
        "images": out[0],
        "channels": out[1],
        "points": points,
        "size": [*[1] * (3 - dimensions), *shape[2:]],
        "dimensions": dimensions,
        "items": items,
        "mode": MODES[step.mode],
        "padding": PADDINGS[step.padding],
        "align_corners": int(step.align_corners),
    }
    plan.call("f32_grid_sample", fields, items)
