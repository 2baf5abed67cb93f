"""Products of two activations."""

from collections.abc import Sequence
from math import prod

import numpy as np

from openwork.backends.cpu.layout import LANE, VECTOR, Planes, round_up
from openwork.backends.cpu.plan import Address, Place, Plan, Value, stored_zero_point
from openwork.backends.cpu.steps.convolution import TILE_VECTORS
from openwork.backends.cpu.steps.copying import MOST_AXES, broadcast_strides, copy
from openwork.backends.cpu.steps.descriptors import ITEMS_A_THREAD, requantize
from openwork.errors import BuildError
from openwork.lowering import MatMul

# Rows of a work item, at least: so many share what is done once for a tile of columns.
FEWEST_ROWS = 16


def matmul(plan: Plan, step: MatMul) -> None:
    a_shape, b_shape = plan.shape(step.inputs[0]), plan.shape(step.inputs[1])
    a_shape = a_shape if len(a_shape) > 1 else (1, *a_shape)
    b_shape = b_shape if len(b_shape) > 1 else (*b_shape, 1)
    rows, inner, columns = a_shape[-2], a_shape[-1], b_shape[-1]
    batches = np.broadcast_shapes(a_shape[:-2], b_shape[:-2])
    if len(batches) > MOST_AXES:
        raise BuildError(f"a product of {len(batches) + 2} dimensions has no kernel; use at most {MOST_AXES + 2}")
    a = plan.plain(step.inputs[0]).address
    pack = _packed_floats if step.requantize is None else _packed_bytes
    b, row, matrix = pack(plan, step.inputs[1], prod(b_shape[:-2]), inner, columns)
    vectors = -(-columns // VECTOR)
    tiles = -(-vectors // TILE_VECTORS[4])
    tile = -(-vectors // tiles)
    wanted = -(-ITEMS_A_THREAD * plan.threads // (prod(batches) * tiles))
    block = round_up(max(-(-rows // wanted), min(rows, FEWEST_ROWS)), 4)
    blocks = -(-rows // block)
    fields: dict[str, Value] = {
        "a": a,
        "b": b,
        "output": plan.new_plain(step.output).address,
        "rank": len(batches),
        "batches": batches or (1,),
        "a_batch": _strides(a_shape[:-2], batches, rows * inner),
        "b_batch": _strides(b_shape[:-2], batches, matrix),
        "rows": rows,
        "inner": inner,
        "columns": columns,
        "a_row": inner,
        "b_row": row,
        "block": block,
        "blocks": blocks,
        "tile": tile,
        "tiles": tiles,
    }
    kernel = "f32_matmul"
    if step.requantize is not None:
        kernel = "u8_matmul"
        fields["zero_points"] = [
            stored_zero_point(zero, plan.dtype(name)) for zero, name in zip(step.zero_points, step.inputs, strict=True)
        ]
        fields["requantize"] = requantize(plan, step.requantize, plan.dtype(step.output), 1)
    plan.call(kernel, fields, prod(batches) * tiles * blocks)


def _strides(small: tuple[int, ...], batches: tuple[int, ...], matrix: int) -> Sequence[int]:
    """From matrix to matrix along each axis of the batch; 0 where it repeats."""
    return [matrix * stride for stride in broadcast_strides(small, batches)] or [0]


def _packed_floats(plan: Plan, name: str, count: int, inner: int, columns: int) -> tuple[Address, int, int]:
    """Matrices whose rows fill whole vectors: their address, lanes from row to row and from matrix to matrix."""
    source = plan.plain(name).address
    row = round_up(columns, VECTOR)
    if row == columns:
        return source, row, inner * row
    target = plan.region(LANE * count * inner * row)
    copy(plan, "float32", source, target, (count * inner, columns), (columns, 1), (row, 1))
    return target, row, inner * row


def _packed_bytes(plan: Plan, name: str, count: int, inner: int, columns: int) -> tuple[Address, int, int]:
    """The same, four rows in a lane: each matrix is an image of one line, its rows are channels."""
    layout = Planes(count, inner, 1, columns, columns, 0, 4)
    target = Place(plan.region(layout.nbytes), layout)
    fields: dict[str, Value] = {
        "plain_input": plan.plain(name).address,
        "planes": plan.planes(target),
        "images": layout.images,
        "channels": layout.channels,
    }
    plan.call("u8_to_planes", fields, layout.planes)
    return target.address, layout.stride, layout.groups * layout.stride
