"""Steps that move elements, and softmax, which works along rows of a plain tensor."""

from math import prod

import numpy as np

from openwork.backends.cpu.layout import LANE, Plain, Planes
from openwork.backends.cpu.plan import Address, Place, Plan, copy_fields
from openwork.errors import BuildError
from openwork.lowering import Concat, Reshape, Softmax, Transpose

# Copies of more first elements than this are not worth sharing among threads one by one.
MOST_ITEMS = 4096


def softmax(plan: Plan, step: Softmax) -> None:
    shape = plan.shape(step.input)
    rank, count = len(shape), shape[step.axis]
    order = [axis for axis in range(rank) if axis != step.axis] + [step.axis]
    source = permuted(plan, plan.plain(step.input), order)
    rows = prod(shape) // count
    if step.axis == rank - 1:
        target = plan.new_plain(step.output).address
        plan.call("f32_softmax", {"input": source, "output": target, "count": count}, rows)
        return
    turned = plan.region(LANE * prod(shape))
    plan.call("f32_softmax", {"input": source, "output": turned, "count": count}, rows)
    back = [order.index(axis) for axis in range(rank)]
    strides = row_major([shape[axis] for axis in order])
    target = plan.new_plain(step.output).address
    copy(plan, "float32", turned, target, shape, [strides[axis] for axis in back], row_major(shape))


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
        fields = copy_fields(source.address, at, (layout.images, lanes), (images[0], 1), (images[1], 1))
        plan.call("x32_copy", fields, layout.images)
        begin += layout.groups


def transpose(plan: Plan, step: Transpose) -> None:
    source = plan.plain(step.input)
    shape = plan.program.buffers[step.output].shape
    strides = row_major(plan.shape(step.input))
    target = plan.new_plain(step.output).address
    dtype = plan.dtype(step.output)
    copy(plan, dtype, source.address, target, shape, [strides[axis] for axis in step.perm], row_major(shape))


def reshape(plan: Plan, step: Reshape) -> None:
    plan.alias(step.output, plan.plain(step.input))


def copy(
    plan: Plan,
    dtype: str,
    source: Address,
    target: Address,
    shape: tuple[int, ...],
    source_strides: list[int],
    target_strides: list[int],
) -> None:
    """Move elements from one set of strides to another; the first dimension is shared among threads."""
    kernel = "x8_copy" if np.dtype(dtype).itemsize == 1 else "x32_copy"
    if len(shape) > 7:
        raise BuildError(f"a tensor of {len(shape)} dimensions has no kernel; use at most 7")
    if len(shape) < 2 or shape[0] > MOST_ITEMS:
        shape, source_strides, target_strides = (1, *shape), [0, *source_strides], [0, *target_strides]
    plan.call(kernel, copy_fields(source, target, shape, source_strides, target_strides), shape[0])


def permuted(plan: Plan, source: Place, order: list[int]) -> Address:
    """The address of a plain place with its axes in another order; itself if that is its order."""
    layout = source.layout
    assert isinstance(layout, Plain)
    if order == sorted(order):
        return source.address
    shape = tuple(layout.shape[axis] for axis in order)
    strides = row_major(layout.shape)
    target = plan.region(layout.nbytes)
    copy(plan, layout.dtype, source.address, target, shape, [strides[axis] for axis in order], row_major(shape))
    return target


def broadcast(plan: Plan, source: Place, shape: tuple[int, ...]) -> Place:
    """A plain place repeated to a larger shape, as NumPy broadcasts."""
    layout = source.layout
    assert isinstance(layout, Plain)
    if layout.shape == shape:
        return source
    small = (1,) * (len(shape) - len(layout.shape)) + layout.shape
    strides = [0 if small[i] == 1 else stride for i, stride in enumerate(row_major(small))]
    target = Place(plan.region(Plain(shape, layout.dtype).nbytes), Plain(shape, layout.dtype))
    copy(plan, layout.dtype, source.address, target.address, shape, strides, row_major(shape))
    return target


def row_major(shape: tuple[int, ...] | list[int]) -> list[int]:
    """Row-major strides, in elements."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]
