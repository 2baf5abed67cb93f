"""Fully connected layers: dot products for a few rows, one-pixel convolutions for many."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.descriptors import ITEMS_A_THREAD, bounds, is_fixed, requantize
from openwork.backends.cpu.encode import count_gathered, encode_gather
from openwork.backends.cpu.layout import LANE, VECTOR, Planes, turned
from openwork.backends.cpu.plan import Plan, Value, lane0, stored_zero_point
from openwork.backends.cpu.steps.convolution import TILE_VECTORS, choose_rows, folded_bias, tiles_and_blocks
from openwork.lowering import FullyConnected

# Gathering a float, or four bytes, takes as long as reading this many in a row, measured: of weights that stay in the
# caches, and of those that come from memory.
GATHER_COST = {"float32": (7.5, 2.5), "int8": (9.0, 5.0)}
CACHED_BYTES = 1 << 20
# From this many rows on they become the pixels of an image, whose kernels skip zeros at full speed.
MANY_ROWS = 16


def fully_connected(plan: Plan, step: FullyConnected) -> None:
    if prod(plan.program.buffers[step.output].shape[:-1]) >= MANY_ROWS:
        _many_rows(plan, step)
    else:
        _few_rows(plan, step)


def _few_rows(plan: Plan, step: FullyConnected) -> None:
    weight = plan.program.constants[step.weight]
    source = plan.plain(step.input)
    outputs, inputs = weight.shape
    rows = prod(plan.program.buffers[step.output].shape[:-1])
    sparse = _gathers(weight)
    weights: dict[str, Value]
    if sparse:
        taps = encode_gather(weight)
        weights = {
            "starts": plan.param(taps.starts),
            "offsets": plan.param(taps.offsets, fixed=False),
            "values": plan.param(taps.values, fixed=False),
        }
    else:
        weights = {"values": plan.param(weight)}
    blocks = max(1, min(outputs, -(-ITEMS_A_THREAD * plan.threads // rows)))
    block = -(-outputs // blocks)
    fields: dict[str, Value] = {
        "input": source.address,
        "output": plan.new_plain(step.output).address,
        "weights": weights,
        "rows": rows,
        "inputs": inputs,
        "outputs": outputs,
        "block": block,
        "blocks": -(-outputs // block),
        **_finish(plan, step),
    }
    kind = "f32" if step.requantize is None else "u8"
    kernel = f"{kind}_fully_connected_{'sparse' if sparse else 'dense'}"
    plan.call(kernel, fields, rows * -(-outputs // block))


def _gathers(weight: NDArray[np.generic]) -> bool:
    """Whether gathering the inputs of the nonzeros costs less than multiplying all."""
    cost = GATHER_COST[str(weight.dtype)][weight.nbytes > CACHED_BYTES]
    deep = 1 if weight.dtype == np.float32 else 4
    return cost * count_gathered(weight) * deep < weight.size


def _finish(plan: Plan, step: FullyConnected) -> dict[str, Value]:
    """Bias, and bounds or requantization."""
    weight = plan.program.constants[step.weight]
    bias = None if step.bias is None else plan.program.constants[step.bias]
    if step.requantize is None:
        bias = np.zeros(len(weight), np.float32) if bias is None else bias
        return {**bounds(step.bounds), "bias": plan.param(bias)}
    zero = stored_zero_point(step.input_zero_point, plan.dtype(step.input))
    return {
        "bias": plan.param(folded_bias(weight, bias, zero)),
        "requantize": requantize(plan, step.requantize, plan.dtype(step.output), len(weight)),
    }


def _many_rows(plan: Plan, step: FullyConnected) -> None:
    """Rows are tokens: pixels of an image of one line, over which a convolution goes."""
    weight = plan.program.constants[step.weight]
    source = plan.tokens(step.input)
    target = plan.new_planes(step.output, turned(plan.shape(step.output), plan.dtype(step.output)))
    layout = target.layout
    assert isinstance(source.layout, Planes) and isinstance(layout, Planes)
    reach = LANE * VECTOR * min(TILE_VECTORS[1], layout.vectors)
    rows, taps = choose_rows(weight[:, :, None, None], 1, reach)
    tile, tiles, block, blocks = tiles_and_blocks(plan.threads, layout, rows)
    fields: dict[str, Value] = {
        "input": lane0(source),
        "input_image": 0,
        "output": plan.planes(target),
        "residual": None,
        "weights": {
            "depth": taps.depth,
            "starts": plan.param(taps.starts),
            "offsets": plan.param((taps.plane * source.layout.stride).astype(np.int32), fixed=False),
            "values": plan.param(taps.values, fixed=False),
        },
        "images": 1,
        "channels": layout.channels,
        "tile": tile,
        "tiles": tiles,
        "block": block,
        "blocks": blocks,
        **_finish(plan, step),
    }
    kind = "f32" if step.requantize is None else "u8"
    fixed = "_fixed" if step.requantize is not None and is_fixed(step.requantize) else ""
    plan.call(f"{kind}_conv_rows{rows}{fixed}", fields, tiles * blocks)
