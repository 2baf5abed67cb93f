"""Convolutions and fully connected layers: steps with weights of their own."""

from dataclasses import dataclass

import numpy as np

from openwork.lowering.arithmetic import (
    UNBOUNDED,
    Accumulator,
    Array,
    Bounds,
    Buffer,
    Values,
    accumulated,
    exact,
    padded,
    windows,
)
from openwork.lowering.requantize import Requantize
from openwork.lowering.steps.elementwise import Add
from openwork.lowering.steps.reads import ReadsInput

_AT_ONCE = 1 << 20  # elements of a weight


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution with 1 or 2 spatial dimensions, any stride, padding, dilation, groups.

    Float: output = bounds(conv(input, weight) + bias).
    Integer (`requantize` is set): accumulator = conv(input - input_zero_point, weight) + bias, padded with real zeros
    (that is, input_zero_point), then requantized. Input: (u)int8 or (u)int16. Weight: int8 or int16, symmetric. The
    accumulator, of which bias has the dtype or a narrower one, is int32 where no input can make it overflow, partial
    sums included, else int64.
    If `residual` is set, the result (already bounded and requantized) becomes residual.inputs[0], and the
    step's output is the output of that Add: the two roundings of the graph are kept.

    pads: (begin..., end...) in elements, as in ONNX.
    """

    name: str
    input: str
    output: str
    weight: str
    bias: str | None
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1
    bounds: Bounds = UNBOUNDED
    input_zero_point: int = 0
    requantize: Requantize | None = None
    accumulator: Accumulator = "int32"
    residual: Add | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.input,) if self.residual is None else (self.input, self.residual.inputs[1])

    def compute(self, values: Values, output: Buffer) -> Array:
        x, weight = values[self.input], values[self.weight]
        spatial = weight.ndim - 2
        bias = values[self.bias].reshape(-1, *[1] * spatial) if self.bias is not None else 0
        if self.requantize is None:
            y = self.bounds.clamp(self._convolve(x, weight) + bias)
        else:
            sums = self._convolve(exact(x, self.input_zero_point, weight), weight.astype(np.float64))
            y = self.requantize.apply(accumulated(sums + bias, self.accumulator), trailing=spatial)
        return y if self.residual is None else self.residual.of(y, values[self.residual.inputs[1]])

    def _convolve(self, x: Array, weight: Array) -> Array:
        """The sum over all taps of the kernel: weights of the tap @ what the tap sees at each output pixel."""
        channels_out, channels_in, *kernel = weight.shape
        groups = self.groups
        by_group = weight.reshape(groups, channels_out // groups, channels_in, *kernel)
        by_tap = np.ascontiguousarray(np.moveaxis(by_group, (0, 1, 2), (-3, -2, -1)))
        total: Array | None = None
        for tap, seen in windows(padded(x, self.pads, 0), kernel, self.strides, self.dilations):
            pixels = seen.shape[2:]
            product = by_tap[tap] @ seen.reshape(len(x), groups, channels_in, -1)
            total = product if total is None else np.add(total, product, out=total)
        assert total is not None
        return total.reshape(len(x), channels_out, *pixels)


@dataclass(frozen=True, eq=False)
class FullyConnected(ReadsInput):
    """output[..., out] = bounds(input[..., in] @ weight[out, in].T + bias); integers as in `Conv`."""

    name: str
    input: str
    output: str
    weight: str
    bias: str | None
    bounds: Bounds = UNBOUNDED
    input_zero_point: int = 0
    requantize: Requantize | None = None
    accumulator: Accumulator = "int32"

    def compute(self, values: Values, output: Buffer) -> Array:
        x, weight = values[self.input], values[self.weight]
        bias = values[self.bias] if self.bias is not None else 0
        if self.requantize is None:
            return self.bounds.clamp(x @ weight.T + bias)
        centred = exact(x, self.input_zero_point, weight)
        # Some rows at a time: in float64 all would take eight times the memory.
        some = max(1, _AT_ONCE // max(weight.shape[1], 1))
        starts = range(0, len(weight), some)
        sums = [centred @ weight[start : start + some].T.astype(np.float64) for start in starts]
        return self.requantize.apply(accumulated(np.concatenate(sums, axis=-1) + bias, self.accumulator))
