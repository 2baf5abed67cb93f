"""Windows that move over images without weights."""

from dataclasses import dataclass

import numpy as np

from openwork.lowering.arithmetic import Array, Buffer, Values, padded, windows
from openwork.lowering.requantize import RequantizeMean
from openwork.lowering.steps.reads import ReadsInput


@dataclass(frozen=True)
class MaxPool(ReadsInput):
    """Largest element of each window; padding never wins. Integers pass through unchanged."""

    name: str
    input: str
    output: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
        each = windows(padded(x, self.pads, lowest), self.kernel, self.strides, self.dilations)
        return np.maximum.reduce([seen for _, seen in each])


@dataclass(frozen=True, eq=False)
class AveragePool(ReadsInput):
    """Mean of each window.

    counted: (begin..., end...) how much of the padding counts as elements; at most `pads`.
    Integer (`requantize` is set): y = requantize.mean(sum(input - input_zero_point), count).
    """

    name: str
    input: str
    output: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    counted: tuple[int, ...]
    input_zero_point: int = 0
    requantize: RequantizeMean | None = None

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        beyond = tuple(pad - counted for pad, counted in zip(self.pads, self.counted, strict=True))
        count = self._sums(padded(np.ones_like(x, np.float32), self.counted, 1), beyond)
        if self.requantize is None:
            return self._sums(x, self.pads) / count
        sums = self._sums(x.astype(np.int32) - self.input_zero_point, self.pads)
        return self.requantize.mean(sums, count)

    def _sums(self, x: Array, pads: tuple[int, ...]) -> Array:
        each = windows(padded(x, pads, 0), self.kernel, self.strides, self.dilations)
        return np.add.reduce([seen for _, seen in each], dtype=x.dtype)
