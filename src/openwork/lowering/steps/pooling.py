"""Windows that move over images without weights."""

from dataclasses import dataclass

import numpy as np

from openwork.lowering.arithmetic import Array, Buffer, Values, padded, windows
from openwork.lowering.requantize import Requantize


@dataclass(frozen=True)
class MaxPool:
    """Largest element of each window; padding never wins. Integers pass through unchanged."""

    name: str
    input: str
    output: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.input,)

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        each = windows(padded(x, self.pads, lowest), self.kernel, self.strides, self.dilations)
        return np.maximum.reduce([seen for _, seen in each])


@dataclass(frozen=True, eq=False)
class AveragePool:
    """Mean of each window. Padding counts as elements only with count_include_pad.

    Integer: y = requantize(float32(sum(input - input_zero_point)) / float32(count)): see `Mean`.
    """

    name: str
    input: str
    output: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    count_include_pad: bool = False
    input_zero_point: int = 0
    requantize: Requantize | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        return (self.input,)

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        count = self._sums(np.ones_like(x, np.float32), outside=float(self.count_include_pad))
        if self.requantize is None:
            return self._sums(x) / count
        sums = self._sums(x.astype(np.int32) - self.input_zero_point)
        return self.requantize.apply(sums.astype(np.float32) / count)

    def _sums(self, x: Array, outside: float = 0) -> Array:
        each = windows(padded(x, self.pads, outside), self.kernel, self.strides, [1] * len(self.kernel))
        return np.add.reduce([seen for _, seen in each], dtype=x.dtype)
