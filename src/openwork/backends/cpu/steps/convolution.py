"""Convolutions: rows of taps, tiles of vectors, blocks of channels."""

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.descriptors import ITEMS_A_THREAD, add_scales, bounds, is_fixed, requantize, zero_point
from openwork.backends.cpu.encode import Taps, count_taps, encode_taps
from openwork.backends.cpu.layout import LANE, VECTOR, Planes, Window, kernel_of, round_up, window_of
from openwork.backends.cpu.plan import Address, Place, Plan, Value, lane0, stored_zero_point
from openwork.backends.cpu.repack import phase_offsets, repack
from openwork.lowering import Bounds, Conv

# Vectors a work item covers at most, by rows a list: what the registers of AVX-512 hold (see csrc/cpu/vector.h). Of
# integers never more than six: there are no runs, and the input of longer tiles leaves the first-level cache.
TILE_VECTORS = {1: 8, 4: 6}
INTEGER_TILE_VECTORS = 6
# Runs of input planes: as much of the input as stays in the first-level cache while all channels pass over it,
# but enough taps in each list to be worth fetching the sums again.
RUN_BYTES = 24 * 1024
RUN_TAPS = 32
# What a tap costs each of the rows that share it, measured. Arithmetic bounds lists of four. Loads bound lists of one:
# less so where none falls on two cache lines, and all planes stay in the first-level cache.
ROW_COST = {1: 1.8, 2: 1.1, 4: 1.0}
POINTWISE_COST, POINTWISE_CHANNELS = 1.4, 512


def conv(plan: Plan, step: Conv) -> None:
    weight = plan.program.constants[step.weight]
    weight = weight[:, :, None, :] if weight.ndim == 3 else weight
    dtype = plan.dtype(step.input)
    pad = stored_zero_point(step.input_zero_point, dtype)
    window = window_of(step, kernel_of(step, plan.program))
    source = plan.planar(step.input, pad)
    rows, taps = choose_rows(weight, step.groups, _reach(plan, step.output, window))
    residual = None if step.residual is None else plan.planar(step.residual.inputs[1])
    at, offsets, image = _taps_in_memory(plan, source, step.output, window, taps, pad)
    target = plan.new_planar(step.output, _output_padding(plan, step))
    layout = target.layout
    assert isinstance(layout, Planes)
    tile, tiles, block, blocks = tiles_and_blocks(plan.threads, layout, rows)
    fields: dict[str, Value] = {
        "input": at,
        "input_image": image,
        "output": plan.planes(target),
        "residual": None if residual is None else lane0(residual),
        "weights": {
            "depth": taps.depth,
            "starts": plan.param(taps.starts),
            "offsets": plan.param(offsets, fixed=False),
            "values": plan.param(taps.values, fixed=False),
        },
        "images": layout.images,
        "channels": layout.channels,
        "tile": tile,
        "tiles": tiles,
        "block": block,
        "blocks": blocks,
    }
    bias = None if step.bias is None else plan.program.constants[step.bias]
    if step.requantize is None:
        fields |= bounds(step.bounds)
        after = step.residual.bounds if step.residual is not None else Bounds()
        fields |= {"sum_low": after.low, "sum_high": after.high}
        fields["bias"] = plan.param(np.zeros(len(weight), np.float32) if bias is None else bias)
        kernel = f"f32_conv_rows{rows}"
    else:
        fields["bias"] = plan.param(folded_bias(weight, bias, pad))
        to = step.requantize
        # Before a residual is added the result is no buffer, so its zero point stays as the graph has it.
        middle = "int8" if step.residual is None and plan.dtype(step.output) == "int8" else "uint8"
        fields["requantize"] = requantize(plan, to, middle, len(weight))
        if step.residual is not None:
            fields["add"] = add_scales(plan, step.residual, middle)
        kernel = f"u8_conv_rows{rows}_fixed" if is_fixed(to) else f"u8_conv_rows{rows}"
    plan.call(kernel, fields, layout.images * tiles * blocks)


def choose_rows(weight: NDArray[np.generic], groups: int, reach: int) -> tuple[int, Taps]:
    """How many rows share a list of taps, and the lists: the cheapest, counting the zeros that sharing brings.

    reach: bytes of one input plane that a tile reads.
    """
    is_float = weight.dtype == np.float32
    is_light = weight.shape[2:] == (1, 1) and weight.shape[1] <= POINTWISE_CHANNELS
    cost = ROW_COST | ({1: POINTWISE_COST} if is_light else {})
    counts = {rows: count_taps(weight, groups, rows) for rows in ((1, 4) if is_float else (1, 2, 4))}
    rows = min(counts, key=lambda rows: cost[rows] * rows * counts[rows])
    if rows > 1 or not is_float or groups > 1:
        return rows, encode_taps(weight, groups, rows)
    taps_a_plane = counts[1] / weight.shape[0] / weight.shape[1]
    run = max(RUN_BYTES // reach, int(RUN_TAPS / max(taps_a_plane, 1e-9)))
    return 1, encode_taps(weight, groups, 1, run)


def _reach(plan: Plan, output: str, window: Window) -> int:
    """Bytes of one input plane that a tile of the output reads: its own lanes and those its taps reach."""
    like = plan.geometry.planes(plan.program.buffers[output].shape, "float32")
    tile = min(TILE_VECTORS[1], like.vectors)
    return LANE * (VECTOR * tile + (window.kernel[0] - 1) * window.dilations[0] * like.row)


def tiles_and_blocks(threads: int, layout: Planes, rows: int) -> tuple[int, int, int, int]:
    """(vectors a tile, tiles an image, channels a block, blocks): tiles of equal size, blocks of whole fours."""
    most = TILE_VECTORS[rows] if layout.deep == 1 else INTEGER_TILE_VECTORS
    tiles = -(-layout.vectors // most)
    tile = -(-layout.vectors // tiles)
    wanted = max(1, -(-ITEMS_A_THREAD * threads // (layout.images * tiles)))
    block = round_up(-(-layout.channels // wanted), 4)
    return tile, tiles, block, -(-layout.channels // block)


def _taps_in_memory(
    plan: Plan, source: Place, output: str, window: Window, taps: Taps, padding: int
) -> tuple[Address, NDArray[np.int32], int]:
    """Where lane 0 of the input is, each tap's distance from it in lanes, and the lanes of an image."""
    layout = source.layout
    assert isinstance(layout, Planes)
    if window.is_same:
        rows = taps.ky * window.dilations[0] - window.pads[0]
        columns = taps.kx * window.dilations[1] - window.pads[1]
        offsets = taps.plane * layout.stride + rows * layout.row + columns
        return lane0(source), offsets.astype(np.int32), layout.groups * layout.stride
    at, stride, row = repack(plan, source, output, window, padding)
    offsets = phase_offsets(window, taps.ky, taps.kx, layout.groups, stride, row) + taps.plane * stride
    return at, offsets.astype(np.int32), len(window.phases()) * layout.groups * stride


def folded_bias(weight: NDArray[np.generic], bias: NDArray[np.generic] | None, zero_point: int) -> NDArray[np.int32]:
    """bias - zero_point * sum(weight), rounded up to four channels: kernels multiply stored bytes as they are."""
    total = weight.reshape(len(weight), -1).astype(np.int64).sum(1)
    folded = (0 if bias is None else bias.astype(np.int64)) - zero_point * total
    return np.pad(folded.astype(np.int32), (0, -len(weight) % 4))


def _output_padding(plan: Plan, step: Conv) -> int:
    """The zero point of what a convolution writes, as stored."""
    if step.requantize is None:
        return 0
    last = step.requantize if step.residual is None else step.residual.requantize
    assert last is not None
    return zero_point(plan, last, step.output)
