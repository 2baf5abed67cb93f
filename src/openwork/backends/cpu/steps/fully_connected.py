"""Fully connected layers: dot products for a few rows, one-pixel convolutions for many."""

from math import prod

import numpy as np

from openwork.backends.cpu.encode import encode_gather
from openwork.backends.cpu.layout import LANE, VECTOR, Planes, round_up
from openwork.backends.cpu.plan import Address, Place, Plan, Value, lane0, stored_zero_point
from openwork.backends.cpu.steps.convolution import TILE_VECTORS, choose_rows, folded_bias, tiles_and_blocks
from openwork.backends.cpu.steps.copying import copy
from openwork.backends.cpu.steps.descriptors import ITEMS_A_THREAD, bounds, is_fixed, requantize
from openwork.lowering import FullyConnected

# A row is multiplied densely from this density on.
DENSE = 0.4
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
    sparse = np.count_nonzero(weight) < DENSE * weight.size
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
    """Rows are the pixels of an image of one line: turned over, convolved, turned back."""
    weight = plan.program.constants[step.weight]
    pixels = prod(plan.program.buffers[step.output].shape[:-1])
    deep = 1 if step.requantize is None else 4
    layout = Planes(1, len(weight), 1, pixels, pixels, 0, deep)
    source = _turned_over(plan, step.input, pixels, deep)
    target = Place(plan.region(layout.nbytes), layout)
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
            "offsets": plan.param((taps.plane * layout.stride).astype(np.int32), fixed=False),
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
    _turn_back(plan, target, step.output)


def _turned_over(plan: Plan, name: str, pixels: int, deep: int) -> Place:
    """A plain matrix [pixels, channels] as planes of its channels. Lanes beyond the last pixel hold anything, and so do
    the bytes of channels that are none: nothing is made of them."""
    channels = plan.shape(name)[-1]
    layout = Planes(1, channels, 1, pixels, pixels, 0, deep)
    source = plan.plain(name).address
    if channels % deep:
        whole = round_up(channels, deep)
        padded = plan.region(pixels * whole)
        copy(plan, "uint8", source, padded, (pixels, channels), (channels, 1), (whole, 1))
        source = padded
    target = Place(plan.region(layout.nbytes), layout)
    _transpose(plan, source, target.address, (pixels, layout.groups), (layout.groups, layout.stride))
    return target


def _turn_back(plan: Plan, source: Place, name: str) -> None:
    """The planes of [pixels, channels] as a plain buffer."""
    layout = source.layout
    assert isinstance(layout, Planes)
    shape, strides = (layout.groups, layout.width), (layout.stride, layout.groups)
    if layout.channels % layout.deep == 0:
        _transpose(plan, source.address, plan.new_plain(name).address, shape, strides)
        return
    padded = plan.region(LANE * layout.groups * layout.width)
    _transpose(plan, source.address, padded, shape, strides)
    target = plan.new_plain(name).address
    whole = layout.deep * layout.groups
    matrix = (layout.width, layout.channels)
    copy(plan, "uint8", padded, target, matrix, (whole, 1), (layout.channels, 1))


def _transpose(plan: Plan, source: Address, target: Address, shape: tuple[int, int], strides: tuple[int, int]) -> None:
    """Lanes of a matrix into those of its transpose; strides from row to row, of both."""
    fields: dict[str, Value] = {
        "input": source,
        "output": target,
        "rows": shape[0],
        "columns": shape[1],
        "input_row": strides[0],
        "output_row": strides[1],
    }
    plan.call("x32_transpose", fields, -(-shape[0] // VECTOR))
