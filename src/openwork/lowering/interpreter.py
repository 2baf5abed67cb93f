"""What a Program means, in NumPy: one short function a step. Every backend is held against `run`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openwork.errors import DataError
from openwork.lowering.program import (
    Add,
    AveragePool,
    Bounds,
    Buffer,
    Clip,
    Concat,
    Conv,
    Dequantize,
    FullyConnected,
    MaxPool,
    Mean,
    Program,
    Quantize,
    Requantize,
    Rescale,
    Reshape,
    Softmax,
    Step,
    Transpose,
    step_inputs,
)

Array = NDArray[Any]
Values = Mapping[str, Array]


def run(program: Program, inputs: Values, *, taps: Sequence[str] = ()) -> dict[str, Array]:
    """Compute a Program step by step.

    Args:
        inputs: one array for each of `program.inputs`, in its buffer's shape and dtype.
        taps: names of further buffers to return.
    Returns: the outputs in the program's order, then the taps, by name.
    Raises: DataError: an input is missing or does not fit its buffer, or a tap is no buffer.
    """
    _check_names(program, inputs, taps)
    values = {**program.constants, **{name: inputs[name] for name in program.inputs}}
    last_reader = {name: step for step in program.steps for name in step_inputs(step)}
    kept = {*program.outputs, *taps, *program.constants}
    for step in program.steps:
        buffer = program.buffers[step.output]
        result = _compute(step, values, buffer)
        assert result.shape == buffer.shape, f"{step.name}: {result.shape} in a buffer of {buffer.shape}"
        values[step.output] = result.astype(buffer.dtype, copy=False)
        for name in set(step_inputs(step)) - kept:
            if last_reader[name] is step:
                del values[name]
    return {name: values[name] for name in (*program.outputs, *taps)}


def _check_names(program: Program, inputs: Values, taps: Sequence[str]) -> None:
    for name in program.inputs:
        buffer = program.buffers[name]
        if name not in inputs:
            raise DataError(f"input {name!r}: missing; give one {buffer.dtype} array of shape {buffer.shape}")
        array = inputs[name]
        if array.shape != buffer.shape or array.dtype != buffer.dtype:
            raise DataError(
                f"input {name!r}: is {array.dtype} of shape {array.shape}; give {buffer.dtype} of shape {buffer.shape}"
            )
    for name in taps:
        if name not in program.buffers:
            raise DataError(f"tap {name!r}: the program has no such buffer; it may be fused into a step")


def _compute(step: Step, values: Values, output: Buffer) -> Array:
    match step:
        case Conv():
            return _conv(step, values)
        case FullyConnected():
            return _fully_connected(step, values)
        case Add():
            return _add(step, *(values[name] for name in step.inputs))
        case MaxPool():
            return _max_pool(step, values[step.input])
        case AveragePool():
            return _average_pool(step, values[step.input])
        case Mean():
            return _mean(step, values[step.input]).reshape(output.shape)
        case Clip():
            return _bounded(values[step.input], step.bounds)
        case Rescale():
            centred = values[step.input].astype(np.int32) - step.input_zero_point
            return _requantized(centred, step.requantize)
        case Quantize():
            return _quantize(step, values[step.input], output.dtype)
        case Dequantize():
            return _real(values[step.input], step.zero_point, step.scale)
        case Softmax():
            return _softmax(step, values[step.input])
        case Concat():
            return np.concatenate([values[name] for name in step.inputs], axis=step.axis)
        case Transpose():
            return values[step.input].transpose(step.perm)
        case Reshape():
            return values[step.input].reshape(output.shape)


def _conv(step: Conv, values: Values) -> Array:
    x, weight = values[step.input], values[step.weight]
    spatial = weight.ndim - 2
    bias = values[step.bias].reshape(-1, *[1] * spatial) if step.bias is not None else 0
    if step.requantize is None:
        y = _bounded(_convolve(step, x, weight) + bias, step.bounds)
    else:
        sums = _convolve(step, *_exact(x, step.input_zero_point, weight))
        y = _requantized(_int32(sums + bias), step.requantize, trailing=spatial)
    if step.residual is not None:
        y = _add(step.residual, y, values[step.residual.inputs[1]])
    return y


def _convolve(step: Conv, x: Array, weight: Array) -> Array:
    """The sum over all taps of the kernel: weights of the tap @ what the tap sees at each output pixel."""
    channels_out, channels_in, *kernel = weight.shape
    groups = step.groups
    by_group = weight.reshape(groups, channels_out // groups, channels_in, *kernel)
    by_tap = np.ascontiguousarray(np.moveaxis(by_group, (0, 1, 2), (-3, -2, -1)))
    total: Array | None = None
    for tap, seen in _windows(_padded(x, step.pads, 0), kernel, step.strides, step.dilations):
        pixels = seen.shape[2:]
        product = by_tap[tap] @ seen.reshape(len(x), groups, channels_in, -1)
        total = product if total is None else np.add(total, product, out=total)
    assert total is not None
    return total.reshape(len(x), channels_out, *pixels)


def _fully_connected(step: FullyConnected, values: Values) -> Array:
    x, weight = values[step.input], values[step.weight]
    bias = values[step.bias] if step.bias is not None else 0
    if step.requantize is None:
        return _bounded(x @ weight.T + bias, step.bounds)
    centred, exact_weight = _exact(x, step.input_zero_point, weight)
    return _requantized(_int32(centred @ exact_weight.T + bias), step.requantize)


def _add(step: Add, a: Array, b: Array) -> Array:
    if step.requantize is None:
        return _bounded(a + b, step.bounds)
    to = step.requantize
    real = _real(a, to.zero_points[0], to.scales[0]) + _real(b, to.zero_points[1], to.scales[1])
    return _rounded(real, to.zero_point, to.low, to.high)


def _max_pool(step: MaxPool, x: Array) -> Array:
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    windows = _windows(_padded(x, step.pads, lowest), step.kernel, step.strides, step.dilations)
    return np.maximum.reduce([seen for _, seen in windows])


def _average_pool(step: AveragePool, x: Array) -> Array:
    count = _window_sums(step, np.ones_like(x, np.float32), outside=float(step.count_include_pad))
    if step.requantize is None:
        return _window_sums(step, x) / count
    sums = _window_sums(step, x.astype(np.int32) - step.input_zero_point)
    return _requantized(sums.astype(np.float32) / count, step.requantize)


def _window_sums(step: AveragePool, x: Array, outside: float = 0) -> Array:
    dilations = [1] * len(step.kernel)
    windows = _windows(_padded(x, step.pads, outside), step.kernel, step.strides, dilations)
    return np.add.reduce([seen for _, seen in windows], dtype=x.dtype)


def _mean(step: Mean, x: Array) -> Array:
    if step.requantize is None:
        return x.mean(step.axes, dtype=np.float32)
    sums = (x.astype(np.int32) - step.input_zero_point).sum(step.axes, dtype=np.int32)
    count = np.prod([x.shape[axis] for axis in step.axes], dtype=np.float32)
    return _requantized(sums.astype(np.float32) / count, step.requantize)


def _softmax(step: Softmax, x: Array) -> Array:
    powers = np.exp(x - x.max(step.axis, keepdims=True))
    return powers / powers.sum(step.axis, keepdims=True)


def _quantize(step: Quantize, x: Array, dtype: str) -> Array:
    limits = np.iinfo(dtype)
    return _rounded(x / np.float32(step.scale), step.zero_point, limits.min, limits.max)


def _requantized(value: Array, to: Requantize, *, trailing: int = 0) -> Array:
    """`trailing`: how many axes follow the channel axis."""
    scale = to.scale.reshape(-1, *[1] * trailing)
    return _rounded(value.astype(np.float32) * scale, to.zero_point, to.low, to.high)


def _rounded(real: Array, zero_point: int, low: int, high: int) -> Array:
    """Half to even, clamped while still float32: whole numbers that fit the integer type they are for."""
    return np.clip(np.rint(real) + np.float32(zero_point), np.float32(low), np.float32(high))


def _real(integers: Array, zero_point: int, scale: float) -> Array:
    return (integers.astype(np.int32) - zero_point).astype(np.float32) * np.float32(scale)


def _bounded(x: Array, bounds: Bounds) -> Array:
    return np.clip(x, np.float32(bounds.low), np.float32(bounds.high))


def _exact(x: Array, zero_point: int, weight: Array) -> tuple[Array, Array]:
    """Integers as float64, for BLAS: proved to be so small that every sum of products is exact."""
    centred, weight = x.astype(np.float64) - zero_point, weight.astype(np.float64)
    largest_row = np.abs(weight).reshape(len(weight), -1).sum(axis=1).max()
    assert np.abs(centred).max() * largest_row < 2**53, "sums of products are not exact in float64"
    return centred, weight


def _int32(whole: Array) -> Array:
    """An int32 accumulator: what does not fit wraps around, as it does in hardware."""
    return whole.astype(np.int64).astype(np.int32)


def _padded(x: Array, pads: Sequence[int], value: float) -> Array:
    """x [N, C, spatial...] with `value` around it; pads as in ONNX: all begins, then all ends."""
    spatial = len(pads) // 2
    widths = [(0, 0), (0, 0), *zip(pads[:spatial], pads[spatial:], strict=True)]
    return np.pad(x, widths, constant_values=value) if any(pads) else x


def _windows(
    padded: Array, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Iterator[tuple[tuple[int, ...], Array]]:
    """Yield each tap of the kernel and what it sees at all output pixels: a view [N, C, out spatial...]."""
    axes = list(zip(padded.shape[2:], kernel, strides, dilations, strict=True))
    pixels = [(size - dilation * (width - 1) - 1) // stride + 1 for size, width, stride, dilation in axes]
    for tap in np.ndindex(*kernel):
        starts = [at * dilation for at, dilation in zip(tap, dilations, strict=True)]
        seen = tuple(
            slice(start, start + stride * (count - 1) + 1, stride)
            for start, stride, count in zip(starts, strides, pixels, strict=True)
        )
        yield tap, padded[:, :, *seen]
