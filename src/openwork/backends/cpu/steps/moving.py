"""Steps that move elements."""

from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.copying import (
    beyond,
    broadcast_strides,
    copy,
    row_major,
    work_items,
)
from openwork.backends.cpu.layout import LANE, Planes, reshaped, viewed
from openwork.backends.cpu.plan import Address, Place, Plan, Value, stored_bytes
from openwork.lowering import Concat, Expand, Gather, Pad, Reshape, Slice, TakeAlong, Transpose


def concat(plan: Plan, step: Concat) -> None:
    shape = plan.program.buffers[step.output].shape
    if step.axis == 1 and any(map(plan.is_planar, step.inputs)) and _whole_lanes(plan, step):
        _concat_planes(plan, step)
        return
    sources = [plan.plain(name) for name in step.inputs]
    target = plan.new_plain(step.output).address
    strides, begin = row_major(shape), 0
    dtype = plan.dtype(step.output)
    for name, source in zip(step.inputs, sources, strict=True):
        part = plan.shape(name)
        offset = begin * strides[step.axis] * np.dtype(dtype).itemsize
        to = Address(target.space, target.index, target.offset + offset)
        copy(plan, dtype, source.address, to, part, row_major(part), strides)
        begin += part[step.axis]


def _whole_lanes(plan: Plan, step: Concat) -> bool:
    """Whether every input but the last fills its lanes, so that planes can be copied whole."""
    deep = 1 if plan.dtype(step.output) == "float32" else 4
    return all(plan.shape(name)[1] % deep == 0 for name in step.inputs[:-1])


def _concat_planes(plan: Plan, step: Concat) -> None:
    padding = plan.planar(next(filter(plan.is_planar, step.inputs))).padding
    sources = [plan.planar(name, padding) for name in step.inputs]
    target = plan.new_planar(step.output, padding)
    to = target.layout
    assert isinstance(to, Planes)
    begin = 0
    for source in sources:
        layout = source.layout
        assert isinstance(layout, Planes)
        # From the padding before the first plane to the padding after the last.
        lanes = layout.groups * layout.stride + layout.lead
        at = Address("arena", target.address.index, LANE * begin * to.stride)
        images = (layout.groups * layout.stride, to.groups * to.stride)
        copy(plan, "float32", source.address, at, (layout.images, lanes), (images[0], 1), (images[1], 1))
        begin += layout.groups


def transpose(plan: Plan, step: Transpose) -> None:
    """Planes stay where they are, as far as they are still images of channels of pixels."""
    place = plan.planes_of(step.input)
    if place is not None and isinstance(place.layout, Planes):
        order = tuple(step.perm.index(axis) for axis in place.layout.order)
        if _view(plan, step.output, place, order):
            return
    strides = row_major(plan.shape(step.input))
    _read(plan, step, [strides[axis] for axis in step.perm])


def slice_(plan: Plan, step: Slice) -> None:
    if _slice_planes(plan, step):
        return
    if plan.is_planar(step.input) and plan.shape(step.input)[:2] == plan.shape(step.output)[:2]:
        axes = zip(step.starts, step.steps, plan.shape(step.output), strict=True)
        take(plan, step.input, step.output, [start + by * np.arange(count) for start, by, count in axes])
        return
    strides = row_major(plan.shape(step.input))
    first = sum(start * stride for start, stride in zip(step.starts, strides, strict=True))
    _read(plan, step, [by * stride for by, stride in zip(step.steps, strides, strict=True)], first)


def expand(plan: Plan, step: Expand) -> None:
    _read(plan, step, broadcast_strides(plan.shape(step.input), plan.shape(step.output)))


def _read(plan: Plan, step: Transpose | Slice | Expand, strides: list[int], first: int = 0) -> None:
    """Write a plain output in order, reading the input from element `first` on by other strides."""
    dtype, shape = plan.dtype(step.output), plan.shape(step.output)
    source = beyond(plan.plain(step.input).address, first * np.dtype(dtype).itemsize)
    copy(plan, dtype, source, plan.new_plain(step.output).address, shape, strides, row_major(shape))


def reshape(plan: Plan, step: Reshape) -> None:
    if plan.shape(step.input) == plan.shape(step.output) and plan.is_planar(step.input):
        plan.put(step.output, plan.planar(step.input))
    elif not _reshape_planes(plan, step):
        plan.alias(step.output, plan.plain(step.input))


def _reshape_planes(plan: Plan, step: Reshape) -> bool:
    """Let planes of tokens, or of images whose pixels become one axis, be the output; whether they can."""
    old, new = plan.shape(step.input), plan.shape(step.output)
    place = plan.planes_of(step.input)
    if place is None and plan.is_planar(step.input) and new == (*old[:2], prod(old[2:])) and new[2] > 1:
        place = plan.as_rows(step.input)
    if place is None or not isinstance(place.layout, Planes):
        return False
    order = reshaped(place.layout.order, old, new)
    return order is not None and _view(plan, step.output, place, order)


def _view(plan: Plan, name: str, place: Place, order: tuple[int, ...]) -> bool:
    """Let a buffer be planes whose axes lie in memory as `order` tells; whether it can."""
    assert isinstance(place.layout, Planes)
    layout = viewed(place.layout, plan.shape(name), order)
    if layout is None:
        return False
    plan.put(name, replace(place, layout=layout))
    return True


def _slice_planes(plan: Plan, step: Slice) -> bool:
    """Let whole planes of the input be the output, where they lie together; whether they do."""
    shape, part = plan.shape(step.input), plan.shape(step.output)
    if not plan.is_planar(step.input) or (shape[0], *shape[2:]) != (part[0], *part[2:]):
        return False
    source = plan.planar(step.input)
    layout = source.layout
    assert isinstance(layout, Planes)
    if layout.images > 1 or step.steps[1] != 1 or step.starts[1] % layout.deep or min(step.steps) < 1:
        return False
    first = step.starts[1] // layout.deep
    at = beyond(source.address, LANE * first * layout.stride)
    plan.put(step.output, Place(at, replace(layout, channels=part[1]), source.padding))
    return True


def pad(plan: Plan, step: Pad) -> None:
    shape = plan.shape(step.input)
    rank = len(shape)
    tables = []
    for axis, size in enumerate(shape):
        widths = (step.pads[axis], step.pads[axis + rank])
        if step.mode == "constant":
            tables.append(np.pad(np.arange(size), widths, constant_values=-1))
        else:
            tables.append(np.pad(np.arange(size), widths, mode=step.mode))
    take(plan, step.input, step.output, tables, step.value)


def gather(plan: Plan, step: Gather) -> None:
    data, indices = step.inputs
    shape, dtype = plan.shape(data), np.dtype(plan.dtype(data))
    outer, size, inner = prod(shape[: step.axis]), shape[step.axis], prod(shape[step.axis + 1 :])
    count = prod(plan.shape(indices))
    sources = plan.plain(data).address, plan.plain(indices).address
    nbytes = inner * dtype.itemsize
    items = work_items(plan, outer * count, outer * count * nbytes)
    fields: dict[str, Value] = {
        "input": sources[0],
        "indices": sources[1],
        "output": plan.new_plain(step.output).address,
        "outer": outer,
        "size": size,
        "count": count,
        "bytes": nbytes,
        "wide": int(plan.dtype(indices) == "int64"),
        "items": items,
    }
    plan.call("x8_gather", fields, items)


def take_along(plan: Plan, step: TakeAlong) -> None:
    data, indices = step.inputs
    given, shape = plan.shape(data), plan.shape(step.output)
    nbytes = np.dtype(plan.dtype(data)).itemsize
    items = work_items(plan, prod(shape), prod(shape) * nbytes)
    sources = plan.plain(data).address, plan.plain(indices).address
    fields: dict[str, Value] = {
        "input": sources[0],
        "indices": sources[1],
        "output": plan.new_plain(step.output).address,
        "outer": prod(shape[: step.axis]),
        "size": given[step.axis],
        "count": shape[step.axis],
        "inner": prod(shape[step.axis + 1 :]),
        "bytes": nbytes,
        "wide": int(plan.dtype(indices) == "int64"),
        "items": items,
    }
    plan.call("x8_take_along", fields, items)


def take(plan: Plan, source: str, output: str, tables: list[NDArray[np.int64]], value: float = 0) -> None:
    """Elements of a buffer at the places that a table for each axis names; `value` for place -1.

    Images in planes stay there if only their pixels move.
    """
    shape, dtype = plan.shape(source), plan.dtype(source)
    images_stay = all(np.array_equal(table, np.arange(size)) for table, size in zip(tables[:2], shape, strict=False))
    if plan.is_planar(source) and images_stay:
        _take_planes(plan, plan.planar(source), output, tables[2:], value)
        return
    given = plan.plain(source)
    element = stored_bytes(np.array([value]).astype(dtype)).tobytes()
    counts = [len(table) for table in tables]
    items = work_items(plan, prod(counts[:-1]), prod(counts) * len(element))
    fields: dict[str, Value] = {
        "input": given.address,
        "output": plan.new_plain(output).address,
        "rank": len(shape),
        "items": items,
        "rows": prod(counts[:-1]),
        "shape": counts,
        "stride": row_major(shape),
        "table": [plan.param(table.astype(np.int32)) for table in tables],
        "value": int.from_bytes(element, "little"),
    }
    plan.call(f"x{8 * len(element)}_take", fields, items)


def _take_planes(plan: Plan, source: Place, output: str, tables: list[NDArray[np.int64]], value: float) -> None:
    """The same for planes: tables for rows and columns, or for columns alone."""
    target = plan.new_planar(output, source.padding)
    assert isinstance(target.layout, Planes)
    rows, columns = (np.zeros(1, np.int64), *tables)[-2:]
    bits = stored_bytes(np.array([value]).astype(plan.dtype(output))).tobytes()
    fields: dict[str, Value] = {
        "input": plan.planes(source),
        "output": plan.planes(target),
        "rows": plan.param(rows.astype(np.int32)),
        "columns": plan.param(columns.astype(np.int32)),
        "value": int.from_bytes(bits * (LANE // len(bits)), "little"),
    }
    plan.call("x32_take_planes", fields, target.layout.planes)
