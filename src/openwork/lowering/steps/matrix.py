"""Products of two activations."""

from dataclasses import dataclass

import numpy as np

from openwork.lowering.arithmetic import Array, Buffer, Values, int32
from openwork.lowering.requantize import Requantize
from openwork.lowering.steps.reads import ReadsInputs


@dataclass(frozen=True, eq=False)
class MatMul(ReadsInputs):
    """output = inputs[0] @ inputs[1], as NumPy multiplies: batches broadcast, vectors are taken in.

    Integer (`requantize` is set): int32 accumulator = (a - zero_points[0]) @ (b - zero_points[1]), requantized by
    one scale.
    """

    name: str
    inputs: tuple[str, str]
    output: str
    zero_points: tuple[int, int] = (0, 0)
    requantize: Requantize | None = None

    def compute(self, values: Values, output: Buffer) -> Array:
        a, b = (values[name] for name in self.inputs)
        if self.requantize is None:
            return (a @ b).reshape(output.shape)
        a, b = (x.astype(np.float64) - zero for x, zero in zip((a, b), self.zero_points, strict=True))
        return self.requantize.apply(int32(a @ b)).reshape(output.shape)
