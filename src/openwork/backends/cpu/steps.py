"""How each step of a Program becomes calls of kernels. One function a step, chosen at the bottom."""

from math import inf, prod

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.encode import Taps, encode_gather, encode_taps
from openwork.backends.cpu.layout import (
    LANE,
    VECTOR,
    Plain,
    Planes,
    Window,
    kernel_of,
    round_up,
    window_of,
)
from openwork.backends.cpu.plan import (
    Address,
    Place,
    Plan,
    Value,
    copy_fields,
    lane0,
    padding_word,
    stored_zero_point,
)
from openwork.errors import BuildError
from openwork.lowering import (
    Add,
    AddScales,
    AveragePool,
    Bounds,
    Clip,
    Concat,
    Conv,
    Dequantize,
    FullyConnected,
    MaxPool,
    Mean,
    Quantize,
    Requantize,
    Rescale,
    Reshape,
    Softmax,
    Step,
    Transpose,
)

# Vectors a work item covers, by rows a group: what the registers of AVX-512 hold (see csrc/cpu/vector.h).
TILE_VECTORS = {1: 8, 4: 6}
# Work items for each thread, so that uneven rows and disturbed threads even out.
ITEMS_A_THREAD = 8
# Rows of four pay when their common lists are at least this full.
DENSE_ENOUGH = 0.6
# A fully connected row is multiplied densely from this density on.
DENSE_FULLY_CONNECTED = 0.4


def plan_step(plan: Plan, step: Step) -> None:
    """Append the calls that do one step."""
    match step:
        case Conv():
            _conv(plan, step)
        case FullyConnected():
            _fully_connected(plan, step)
        case Add():
            _add(plan, step)
        case MaxPool() | AveragePool():
            _pool(plan, step)
        case Mean():
            _mean(plan, step)
        case Clip():
            _clip(plan, step)
        case Rescale():
            _rescale(plan, step)
        case Quantize() | Dequantize():
            _convert(plan, step)
        case Softmax():
            _softmax(plan, step)
        case Concat():
            _concat(plan, step)
        case Transpose():
            _transpose(plan, step)
        case Reshape():
            _reshape(plan, step)


def flip_inputs(plan: Plan) -> None:
    """Bring int8 inputs into their stored form before the first step."""
    for name in plan.program.inputs:
        buffer = plan.program.buffers[name]
        if np.dtype(buffer.dtype).itemsize not in (1, 4) or buffer.dtype == "bool":
            raise BuildError(f"input {name!r}: {buffer.dtype} has no kernels; use float32, uint8 or int8")
        if np.dtype(buffer.dtype).itemsize == 1:
            source = plan.plain(name)
            target = plan.region(source.layout.nbytes)
            kernel = "x8_flip" if buffer.dtype == "int8" else "x8_copy"
            _copy_or_flip(plan, kernel, source.address, target, buffer.shape)
            plan.alias(name, Place(target, source.layout))


def write_outputs(plan: Plan) -> None:
    """Bring outputs that no step wrote to the caller's memory there, plain and in their own type."""
    for index, name in enumerate(plan.program.outputs):
        source, target = plan.plain(name), Address("output", index)
        if source.address == target:
            continue
        dtype = plan.program.buffers[name].dtype
        kernel = {"int8": "x8_flip", "uint8": "x8_copy"}.get(dtype, "x32_copy")
        _copy_or_flip(plan, kernel, source.address, target, plan.program.buffers[name].shape)


def _copy_or_flip(plan: Plan, kernel: str, source: Address, target: Address, shape: tuple[int, ...]) -> None:
    if kernel == "x8_flip":
        _map(plan, kernel, [source], target, prod(shape))
    else:
        plan.call(kernel, copy_fields(source, target, (prod(shape),), (1,), (1,)), 1)


# ---- convolution ----


def _conv(plan: Plan, step: Conv) -> None:
    weight = plan.program.constants[step.weight]
    weight = weight[:, :, None, :] if weight.ndim == 3 else weight
    rows, taps = _choose_rows(weight, step.groups)
    dtype = plan.program.buffers[step.input].dtype
    pad = stored_zero_point(step.input_zero_point, dtype)
    window = window_of(step, kernel_of(step, plan.program))
    source = plan.planar(step.input, pad)
    residual = None if step.residual is None else plan.planar(step.residual.inputs[1])
    at, offsets, image = _taps_in_memory(plan, source, step.output, window, taps, pad)
    target = plan.new_planar(step.output, _output_padding(plan, step))
    layout = target.layout
    assert isinstance(layout, Planes)
    tile, tiles, block, blocks = _work_items(plan.threads, layout, rows)
    fields: dict[str, Value] = {
        "input": at,
        "input_image": image,
        "output": plan.planes(target),
        "residual": None if residual is None else lane0(residual),
        "weights": {
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
        fields |= _bounds(step.bounds)
        after = step.residual.bounds if step.residual is not None else Bounds()
        fields |= {"sum_low": after.low, "sum_high": after.high}
        fields["bias"] = plan.param(np.zeros(len(weight), np.float32) if bias is None else bias)
        kernel = f"f32_conv_rows{rows}"
    else:
        fields["bias"] = plan.param(_folded_bias(weight, bias, pad))
        to = step.requantize
        middle = "int8" if step.residual is None and _dtype(plan, step.output) == "int8" else "uint8"
        fields["requantize"] = _requantize(plan, to, middle, len(weight))
        if step.residual is not None:
            fields["add"] = _add_scales(plan, step.residual, middle)
        kernel = f"u8_conv_rows{rows}"
    plan.call(kernel, fields, layout.images * tiles * blocks)


def _choose_rows(weight: NDArray[np.generic], groups: int) -> tuple[int, Taps]:
    """Groups of four rows when their common lists are nearly full, single rows otherwise."""
    four, one = encode_taps(weight, groups, 4), encode_taps(weight, groups, 1)
    if len(one.plane) >= DENSE_ENOUGH * 4 * len(four.plane):
        return 4, four
    return 1, one


def _work_items(threads: int, layout: Planes, rows: int) -> tuple[int, int, int, int]:
    """(vectors a tile, tiles an image, channels a block, blocks): tiles of equal size, blocks of whole fours."""
    tiles = -(-layout.vectors // TILE_VECTORS[rows])
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
    at, stride, row = _repack(plan, source, output, window, padding)
    offsets = _phase_offsets(window, taps.ky, taps.kx, layout.groups, stride, row) + taps.plane * stride
    return at, offsets.astype(np.int32), len(window.phases()) * layout.groups * stride


def _phase_offsets(
    window: Window, ky: NDArray[np.int64], kx: NDArray[np.int64], planes: int, stride: int, row: int
) -> NDArray[np.int64]:
    """Lanes from plane 0 of the first phase to the place that tap (ky, kx) reads in plane 0 of its own phase."""
    phases = window.phases()
    y, x = ky * window.dilations[0], kx * window.dilations[1]
    index = np.zeros(window.strides, np.int64)
    for number, phase in enumerate(phases):
        index[phase] = number
    phase_of_tap = index[y % window.strides[0], x % window.strides[1]]
    return phase_of_tap * planes * stride + y // window.strides[0] * row + x // window.strides[1]


def _repack(
    plan: Plan, source: Place, output: str, window: Window, padding_bits: int
) -> tuple[Address, int, int]:
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
    plan.call("x32_repack", fields, layout.planes)
    return target, stride, like.row


def _folded_bias(
    weight: NDArray[np.generic], bias: NDArray[np.generic] | None, zero_point: int
) -> NDArray[np.int32]:
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
    return _zero_point(plan, last, step.output)


# ---- fully connected ----


def _fully_connected(plan: Plan, step: FullyConnected) -> None:
    weight = plan.program.constants[step.weight]
    bias = None if step.bias is None else plan.program.constants[step.bias]
    source = plan.plain(step.input)
    outputs, inputs = weight.shape
    rows = prod(plan.program.buffers[step.output].shape[:-1])
    sparse = np.count_nonzero(weight) < DENSE_FULLY_CONNECTED * weight.size
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
    target = plan.new_plain(step.output)
    fields: dict[str, Value] = {
        "input": source.address,
        "output": target.address,
        "weights": weights,
        "rows": rows,
        "inputs": inputs,
        "outputs": outputs,
        "block": block,
        "blocks": -(-outputs // block),
    }
    if step.requantize is None:
        fields |= _bounds(step.bounds)
        fields["bias"] = plan.param(np.zeros(outputs, np.float32) if bias is None else bias)
    else:
        zero = stored_zero_point(step.input_zero_point, _dtype(plan, step.input))
        fields["bias"] = plan.param(_folded_bias(weight, bias, zero)[:outputs])
        fields["requantize"] = _requantize(plan, step.requantize, _dtype(plan, step.output), outputs)
    kind = "f32" if step.requantize is None else "u8"
    kernel = f"{kind}_fully_connected_{'sparse' if sparse else 'dense'}"
    plan.call(kernel, fields, rows * -(-outputs // block))


# ---- pooling ----


def _pool(plan: Plan, step: MaxPool | AveragePool) -> None:
    dtype = _dtype(plan, step.input)
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
        padding = 0 if step.requantize is None else _zero_point(plan, step.requantize, step.output)
    at, stride, row = _repack(plan, source, step.output, window, edge)
    ky, kx = (axis.ravel() for axis in np.indices(window.kernel))
    offsets = _phase_offsets(window, ky, kx, layout.groups, stride, row)
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
        fields["requantize"] = _requantize(plan, step.requantize, _dtype(plan, step.output), 1)
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


def _mean(plan: Plan, step: Mean) -> None:
    shape = plan.program.buffers[step.input].shape
    kind = "f32" if step.requantize is None else "u8"
    zero = stored_zero_point(step.input_zero_point, _dtype(plan, step.input)) if step.requantize else 0
    fields: dict[str, Value] = {"count": prod(shape[axis] for axis in step.axes)}
    if step.requantize is not None:
        fields["input_zero_point"] = float(zero)
        fields["requantize"] = _requantize(plan, step.requantize, _dtype(plan, step.output), 1)
    if plan.is_planar(step.input) and step.axes == tuple(range(2, len(shape))):
        source = plan.planar(step.input, zero)
        layout = source.layout
        assert isinstance(layout, Planes)
        fields |= {"input": plan.planes(source), "images": layout.images, "channels": layout.channels}
        kernel, items = f"{kind}_mean_planar", layout.planes
    else:
        kept = [axis for axis in range(len(shape)) if axis not in step.axes]
        items = prod(shape[axis] for axis in kept)
        fields |= {"plain": _permuted(plan, plan.plain(step.input), [*kept, *step.axes]), "rows": items}
        kernel = f"{kind}_mean_plain"
    fields["output"] = plan.new_plain(step.output).address
    plan.call(kernel, fields, items)


# ---- elementwise ----


def _map(
    plan: Plan, kernel: str, inputs: list[Address], output: Address, count: int, **fields: Value
) -> None:
    items = max(1, min(ITEMS_A_THREAD * plan.threads, count // 4096))
    plan.call(kernel, {"input": inputs, "output": output, "count": count, "items": items, **fields}, items)


def _elementwise(plan: Plan, kernel: str, inputs: list[Place], output: Place, **fields: Value) -> None:
    """A map over equally laid out places, over their padding too."""
    layout = output.layout
    per_lane = 1 if not isinstance(layout, Planes) else layout.deep
    count = layout.nbytes // LANE * per_lane if isinstance(layout, Planes) else prod(layout.shape)
    _map(plan, kernel, [place.address for place in inputs], output.address, count, **fields)


def _add(plan: Plan, step: Add) -> None:
    shape = plan.program.buffers[step.output].shape
    to = step.requantize
    fields: dict[str, Value] = _bounds(step.bounds) if to is None else {"add": _add_scales(plan, step, None)}
    kernel = "f32_add" if to is None else "u8_add"
    same = all(_shape(plan, name) == shape for name in step.inputs)
    if same and any(map(plan.is_planar, step.inputs)) and _keeps_padding(step.bounds, to):
        zeros = (0, 0) if to is None else to.zero_points
        inputs = [
            plan.planar(name, stored_zero_point(zero, _dtype(plan, name)) if to else 0)
            for name, zero in zip(step.inputs, zeros, strict=True)
        ]
        target = plan.new_planar(step.output, 0 if to is None else _zero_point(plan, to, step.output))
    else:
        inputs = [_broadcast(plan, plan.plain(name), shape) for name in step.inputs]
        target = plan.new_plain(step.output)
    _elementwise(plan, kernel, inputs, target, **fields)


def _keeps_padding(bounds: Bounds, to: Requantize | AddScales | None) -> bool:
    """Whether padding in gives padding out: zero lies within the bounds."""
    return bounds.low <= 0 <= bounds.high if to is None else to.low <= to.zero_point <= to.high


def _clip(plan: Plan, step: Clip) -> None:
    if plan.is_planar(step.input) and _keeps_padding(step.bounds, None):
        source, target = plan.planar(step.input), plan.new_planar(step.output)
    else:
        source, target = plan.plain(step.input), plan.new_plain(step.output)
    _elementwise(plan, "f32_clip", [source], target, **_bounds(step.bounds))


def _rescale(plan: Plan, step: Rescale) -> None:
    to = step.requantize
    zero = stored_zero_point(step.input_zero_point, _dtype(plan, step.input))
    if plan.is_planar(step.input) and _keeps_padding(Bounds(), to):
        source = plan.planar(step.input, zero)
        target = plan.new_planar(step.output, _zero_point(plan, to, step.output))
    else:
        source, target = plan.plain(step.input), plan.new_plain(step.output)
    fields: dict[str, Value] = {
        "input_zero_point": float(zero),
        "requantize": _requantize(plan, to, _dtype(plan, step.output), 1),
    }
    _elementwise(plan, "u8_rescale", [source], target, **fields)


def _convert(plan: Plan, step: Quantize | Dequantize) -> None:
    source = plan.plain(step.input)
    target = plan.new_plain(step.output)
    integers = step.output if isinstance(step, Quantize) else step.input
    zero = stored_zero_point(step.zero_point, _dtype(plan, integers))
    kernel = "u8_quantize" if isinstance(step, Quantize) else "f32_dequantize"
    _elementwise(plan, kernel, [source], target, scale=step.scale, zero_point=float(zero))


def _softmax(plan: Plan, step: Softmax) -> None:
    shape = plan.program.buffers[step.input].shape
    rank, count = len(shape), shape[step.axis]
    order = [axis for axis in range(rank) if axis != step.axis] + [step.axis]
    source = _permuted(plan, plan.plain(step.input), order)
    rows = prod(shape) // count
    if step.axis == rank - 1:
        target = plan.new_plain(step.output).address
        plan.call("f32_softmax", {"input": source, "output": target, "count": count}, rows)
        return
    turned = plan.region(LANE * prod(shape))
    plan.call("f32_softmax", {"input": source, "output": turned, "count": count}, rows)
    back = [order.index(axis) for axis in range(rank)]
    strides = _strides([shape[axis] for axis in order])
    target = plan.new_plain(step.output).address
    _copy(plan, "float32", turned, target, shape, [strides[axis] for axis in back], _strides(shape))


# ---- moving data ----


def _concat(plan: Plan, step: Concat) -> None:
    shape = plan.program.buffers[step.output].shape
    if step.axis == 1 and any(map(plan.is_planar, step.inputs)) and _whole_lanes(plan, step):
        _concat_planes(plan, step)
        return
    sources = [plan.plain(name) for name in step.inputs]
    target = plan.new_plain(step.output).address
    strides, begin = _strides(shape), 0
    dtype = _dtype(plan, step.output)
    for name, source in zip(step.inputs, sources, strict=True):
        part = _shape(plan, name)
        offset = begin * strides[step.axis] * np.dtype(dtype).itemsize
        to = Address(target.space, target.index, target.offset + offset)
        _copy(plan, dtype, source.address, to, part, _strides(part), strides)
        begin += part[step.axis]


def _whole_lanes(plan: Plan, step: Concat) -> bool:
    """Whether every input but the last fills its lanes, so that planes can be copied whole."""
    deep = 1 if _dtype(plan, step.output) == "float32" else 4
    return all(_shape(plan, name)[1] % deep == 0 for name in step.inputs[:-1])


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
        shape = (layout.images, lanes)
        plan.call("x32_copy", copy_fields(source.address, at, shape, (images[0], 1), (images[1], 1)), 1)
        begin += layout.groups


def _transpose(plan: Plan, step: Transpose) -> None:
    source = plan.plain(step.input)
    shape = plan.program.buffers[step.output].shape
    strides = _strides(_shape(plan, step.input))
    target = plan.new_plain(step.output).address
    dtype = _dtype(plan, step.output)
    _copy(plan, dtype, source.address, target, shape, [strides[axis] for axis in step.perm], _strides(shape))


def _reshape(plan: Plan, step: Reshape) -> None:
    plan.alias(step.output, plan.plain(step.input))


def _copy(
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
    fields = copy_fields(source, target, shape, source_strides, target_strides)
    if 1 < len(shape) and 1 < shape[0] <= 4096:
        fields |= {
            "rank": len(shape),
            "shape": list(shape),
            "input_stride": list(source_strides),
            "output_stride": list(target_strides),
        }
        plan.call(kernel, fields, shape[0])
    else:
        plan.call(kernel, fields, 1)


def _permuted(plan: Plan, source: Place, order: list[int]) -> Address:
    """The address of a plain place with its axes in another order; itself if that is its order."""
    layout = source.layout
    assert isinstance(layout, Plain)
    if order == sorted(order):
        return source.address
    shape = tuple(layout.shape[axis] for axis in order)
    strides = _strides(layout.shape)
    target = plan.region(layout.nbytes)
    _copy(plan, layout.dtype, source.address, target, shape, [strides[axis] for axis in order], _strides(shape))
    return target


def _broadcast(plan: Plan, source: Place, shape: tuple[int, ...]) -> Place:
    """A plain place repeated to a larger shape, as NumPy broadcasts."""
    layout = source.layout
    assert isinstance(layout, Plain)
    if layout.shape == shape:
        return source
    small = (1,) * (len(shape) - len(layout.shape)) + layout.shape
    strides = [0 if small[i] == 1 else stride for i, stride in enumerate(_strides(small))]
    target = Place(plan.region(Plain(shape, layout.dtype).nbytes), Plain(shape, layout.dtype))
    _copy(plan, layout.dtype, source.address, target.address, shape, strides, _strides(shape))
    return target


def _strides(shape: tuple[int, ...] | list[int]) -> list[int]:
    """Row-major strides, in elements."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


# ---- descriptors ----


def _dtype(plan: Plan, name: str) -> str:
    constant = plan.program.constants.get(name)
    return plan.program.buffers[name].dtype if constant is None else str(constant.dtype)


def _shape(plan: Plan, name: str) -> tuple[int, ...]:
    constant = plan.program.constants.get(name)
    return plan.program.buffers[name].shape if constant is None else constant.shape


def _zero_point(plan: Plan, to: Requantize | AddScales, output: str) -> int:
    """The zero point of an integer output, as stored."""
    return stored_zero_point(to.zero_point, _dtype(plan, output))


def _bounds(bounds: Bounds) -> dict[str, Value]:
    return {"low": float(bounds.low), "high": float(bounds.high)}


def _requantize(plan: Plan, to: Requantize, dtype: str, channels: int) -> dict[str, Value]:
    """struct ow_requantize for results stored as `dtype`; scales are repeated to `channels`, rounded up to four."""
    scale = np.broadcast_to(to.scale.astype(np.float32), (channels,))
    shift = stored_zero_point(0, dtype)
    return {
        "scale": plan.param(np.pad(scale, (0, -channels % 4))),
        "zero_point": float(to.zero_point + shift),
        "low": float(to.low + shift),
        "high": float(to.high + shift),
    }


def _add_scales(plan: Plan, add: Add, first: str | None) -> dict[str, Value]:
    """struct ow_add_scales; `first` is how the first operand is stored if it is no buffer."""
    scales = add.requantize
    assert scales is not None
    dtypes = (first or _dtype(plan, add.inputs[0]), _dtype(plan, add.inputs[1]))
    shift = stored_zero_point(0, _dtype(plan, add.output))
    return {
        "scale": list(scales.scales),
        "zero_points": [
            float(stored_zero_point(zero, dtype)) for zero, dtype in zip(scales.zero_points, dtypes, strict=True)
        ],
        "zero_point": float(scales.zero_point + shift),
        "low": float(scales.low + shift),
        "high": float(scales.high + shift),
    }
