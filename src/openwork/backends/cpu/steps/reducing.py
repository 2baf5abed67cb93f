"""Steps that make one element of those along axes: means, sums, largest elements."""

from collections.abc import Sequence
from math import prod

from openwork.backends.cpu.copying import permuted
from openwork.backends.cpu.descriptors import ITEMS_A_THREAD, requantize
from openwork.backends.cpu.layout import Planes
from openwork.backends.cpu.plan import Address, Plan, Value, stored_zero_point
from openwork.lowering import (
    ArgMax,
    Mean,
    Reduce,
    TopK,
)

# enum ow_reduction.
REDUCTIONS = {"sum": 0, "mean": 1, "max": 2, "min": 3, "prod": 4}
KINDS = {"float32": "f32", "int32": "i32", "int64": "i64", "bool": "u8", "int8": "u8", "uint8": "u8"}
# Elements of an inner axis that are worth a work item of their own.
FEWEST = 64


def mean(plan: Plan, step: Mean) -> None:
    if _is_global(plan, step.input, step.axes):
        kind = "f32" if step.requantize is None else "u8"
        _planar(plan, step, f"{kind}_mean_planar")
    elif step.requantize is None:
        _reduce(plan, step, "mean")
    else:
        _rows_of_bytes(plan, step, "u8_mean_plain")


def reduce(plan: Plan, step: Reduce) -> None:
    if step.requantize is not None:
        _rows_of_bytes(plan, step, "u8_sum")
    elif step.function == "max" and _is_global(plan, step.input, step.axes):
        _planar(plan, step, f"{KINDS[plan.dtype(step.input)]}_max_planar")
    else:
        _reduce(plan, step, step.function)


def _is_global(plan: Plan, name: str, axes: tuple[int, ...]) -> bool:
    """Whether whole planes are reduced where they lie."""
    return plan.is_planar(name) and axes == tuple(range(2, len(plan.shape(name))))


def _planar(plan: Plan, step: Mean | Reduce, kernel: str) -> None:
    """Each plane to one element."""
    source = plan.planar(step.input, None if isinstance(step, Reduce) else _zero(plan, step))
    layout = source.layout
    assert isinstance(layout, Planes)
    fields = {
        "input": plan.planes(source),
        "count": layout.height * layout.width,
        "images": layout.images,
        "channels": layout.channels,
        **_requantized(plan, step),
        "output": plan.new_plain(step.output).address,
    }
    plan.call(kernel, fields, layout.planes)


def _rows_of_bytes(plan: Plan, step: Mean | Reduce, kernel: str) -> None:
    """Each row of a plain matrix to one byte."""
    shape = plan.shape(step.input)
    kept = [axis for axis in range(len(shape)) if axis not in step.axes]
    rows = prod(shape[axis] for axis in kept)
    fields = {
        "plain": permuted(plan, plan.plain(step.input), [*kept, *step.axes]),
        "rows": rows,
        "count": prod(shape) // rows,
        **_requantized(plan, step),
        "output": plan.new_plain(step.output).address,
    }
    plan.call(kernel, fields, rows)


def _zero(plan: Plan, step: Mean | Reduce) -> int:
    """The zero point of the input as stored; 0 for floats."""
    return 0 if step.requantize is None else stored_zero_point(step.input_zero_point, plan.dtype(step.input))


def _requantized(plan: Plan, step: Mean | Reduce) -> dict[str, Value]:
    if step.requantize is None:
        return {}
    to = requantize(plan, step.requantize, plan.dtype(step.output), 1)
    return {"input_zero_point": float(_zero(plan, step)), "requantize": to}


def _reduce(plan: Plan, step: Mean | Reduce, function: str) -> None:
    source, outer, count, inner = _three_axes(plan, step.input, step.axes)
    wanted = -(-ITEMS_A_THREAD * plan.threads // outer)
    block = max(-(-inner // wanted), min(inner, FEWEST))
    blocks = -(-inner // block)
    fields: dict[str, Value] = {
        "input": source,
        "output": plan.new_plain(step.output).address,
        "function": REDUCTIONS[function],
        "count": count,
        "inner": inner,
        "block": block,
        "blocks": blocks,
    }
    plan.call(f"{KINDS[plan.dtype(step.input)]}_reduce", fields, outer * blocks)


def _three_axes(plan: Plan, name: str, axes: Sequence[int]) -> tuple[Address, int, int, int]:
    """A plain tensor as [outer, count, inner], `axes` being the middle: moved there only if others lie between."""
    shape = plan.shape(name)
    count = prod(shape[axis] for axis in axes)
    between = range(min(axes, default=0), max(axes, default=-1) + 1)
    if all(axis in axes or shape[axis] == 1 for axis in between):
        outer, inner = prod(shape[: between.start]), prod(shape[between.stop :])
        return plan.plain(name).address, outer, count, inner
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    return permuted(plan, plan.plain(name), [*kept, *axes]), prod(shape) // count, count, 1


def arg_max(plan: Plan, step: ArgMax) -> None:
    source, outer, count, inner = _three_axes(plan, step.input, (step.axis,))
    fields: dict[str, Value] = {
        "input": source,
        "output": plan.new_plain(step.output).address,
        "count": count,
        "inner": inner,
        "smallest": int(step.smallest),
        "last": int(step.last),
    }
    plan.call(f"{KINDS[plan.dtype(step.input)]}_argmax", fields, outer * inner)


def top_k(plan: Plan, step: TopK) -> None:
    source, outer, count, inner = _three_axes(plan, step.input, (step.axis,))
    fields: dict[str, Value] = {
        "input": source,
        "output": plan.new_plain(step.output).address,
        "count": count,
        "inner": inner,
        "k": plan.shape(step.output)[step.axis],
        "smallest": int(step.smallest),
    }
    plan.call(f"{KINDS[plan.dtype(step.input)]}_topk", fields, outer * inner)
