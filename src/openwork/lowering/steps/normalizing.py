"""Steps that normalize over axes."""

from dataclasses import dataclass
from math import prod

import numpy as np

from openwork.lowering.arithmetic import Array, Buffer, Values, dequantized, fused, rounded


@dataclass(frozen=True)
class Normalize:
    """(x - mean) / sqrt(variance + epsilon) * scale + bias, float; mean and variance over `axes` (non-negative).

    LayerNormalization (Ba et al. 2016, arXiv:1607.06450), InstanceNormalization, and, with `centred` unset (mean
    taken as 0), RMSNormalization. scale, bias: constants or buffers that broadcast against x, or None.
    """

    name: str
    input: str
    output: str
    axes: tuple[int, ...]
    epsilon: float
    scale: str | None
    bias: str | None
    centred: bool = True

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(name for name in (self.input, self.scale, self.bias) if name is not None)

    def compute(self, values: Values, output: Buffer) -> Array:
        given = values[self.input]
        x = given.astype(np.float64)
        if self.centred:
            x = x - x.mean(self.axes, keepdims=True)
        y = x / np.sqrt(np.square(x).mean(self.axes, keepdims=True) + self.epsilon)
        y = y if self.scale is None else y * values[self.scale]
        return (y if self.bias is None else y + values[self.bias]).astype(given.dtype)


# What a 256-bit register holds of float32.
LANES = 8


@dataclass(frozen=True)
class IntegerNormalize:
    """Normalization of 8-bit integers to 8-bit integers: every bit is determined, and as onnxruntime has it.

    In float32 and this order, over the n elements of a mean:

        x = float32(input - input_zero_point) * input_scale
        mean = float32(sum(x) / n)                                      in float64, which holds the sum exactly
        factor = 1 / sqrt(squares(x - mean) / n + epsilon)
        y = fused((x - mean) * factor, scale, bias)
        output = clip(rint(y / output_scale) + zero_point, low, high)

    where fused(a, b, c) is a * b + c rounded once, and `squares` adds in eight lanes. Without `centred` mean is 0.

    scale, bias: float32 constants that broadcast against x.
    """

    name: str
    input: str
    output: str
    axes: tuple[int, ...]
    input_scale: float
    input_zero_point: int
    epsilon: float
    scale: str
    bias: str
    output_scale: float
    zero_point: int
    low: int
    high: int
    centred: bool = True

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.input, self.scale, self.bias)

    def compute(self, values: Values, output: Buffer) -> Array:
        x = dequantized(values[self.input], self.input_zero_point, self.input_scale)
        count = np.float32(prod(x.shape[axis] for axis in self.axes))
        if self.centred:
            x = x - (x.sum(self.axes, keepdims=True, dtype=np.float64) / count).astype(np.float32)
        behind = np.moveaxis(x, self.axes, range(-len(self.axes), 0))
        rows = behind.reshape(*behind.shape[: x.ndim - len(self.axes)], -1)
        squares = np.expand_dims(sum_of_squares(rows), self.axes)
        factor = np.float32(1) / np.sqrt(squares / count + np.float32(self.epsilon))
        y = fused(x * factor, values[self.scale], values[self.bias])
        return rounded(y / np.float32(self.output_scale), self.zero_point, self.low, self.high)


def sum_of_squares(x: Array) -> Array:
    """Along the last axis, as a register of eight floats adds them: element i in lane i modulo 8, then the upper half
    of the lanes to the lower, until one is left; last the elements that do not fill a register."""
    whole = x.shape[-1] // LANES * LANES
    lanes = np.zeros((*x.shape[:-1], LANES), np.float32)
    for at in range(0, whole, LANES):
        eight = x[..., at : at + LANES]
        lanes = fused(eight, eight, lanes)
    while lanes.shape[-1] > 1:
        lower, upper = np.split(lanes, 2, axis=-1)
        lanes = lower + upper
    total = lanes[..., 0]
    for at in range(whole, x.shape[-1]):
        total = fused(x[..., at], x[..., at], total)
    return total
