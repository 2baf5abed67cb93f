"""Steps that normalize over axes."""

from dataclasses import dataclass
from math import prod

import numpy as np

from openwork.lowering.arithmetic import Array, Buffer, Values, rounded


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
        x = values[self.input].astype(np.float64)
        if self.centred:
            x = x - x.mean(self.axes, keepdims=True)
        y = x / np.sqrt(np.square(x).mean(self.axes, keepdims=True) + self.epsilon)
        y = y if self.scale is None else y * values[self.scale]
        return (y if self.bias is None else y + values[self.bias]).astype(np.float32)


@dataclass(frozen=True)
class IntegerNormalize:
    """Normalization of 8-bit integers to 8-bit integers: every bit is determined.

    With n integers x in a mean, and sums over them, all exact:

        spread = n * sum((x - input_zero_point)^2) - sum(x - input_zero_point)^2             n^2 * variance
        factor = float32(1 / sqrt(spread + epsilon))                                         in float64
        y = clip(rint((n * x - sum(x)) * factor * scale + bias) + zero_point, low, high)     in float32, in this order

    Without `centred` both sums of x count as 0, and n * (x - input_zero_point) stands where n * x - sum(x) does.

    scale, bias: float32 constants in units of the output's scale, which broadcast against x.
    epsilon: in units of (input scale / n)^2, a float32.
    """

    name: str
    input: str
    output: str
    axes: tuple[int, ...]
    input_zero_point: int
    epsilon: float
    scale: str
    bias: str
    zero_point: int
    low: int
    high: int
    centred: bool = True

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.input, self.scale, self.bias)

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input].astype(np.int64) - self.input_zero_point
        count = prod(x.shape[axis] for axis in self.axes)
        sums = x.sum(self.axes, keepdims=True) if self.centred else 0
        spread = count * np.square(x).sum(self.axes, keepdims=True) - np.square(sums)
        factor = (1 / np.sqrt(spread + np.float64(self.epsilon))).astype(np.float32)
        real = (count * x - sums).astype(np.float32) * factor * values[self.scale] + values[self.bias]
        return rounded(real, self.zero_point, self.low, self.high)
