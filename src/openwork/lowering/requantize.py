"""How an integer sum becomes an output: a closed union, the only arithmetic in which backends may differ."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.arithmetic import Array, dequantized, rounded


@dataclass(frozen=True, eq=False)
class Float32Scale:
    """Requantization as ONNX Q/DQ means it, in float32 with one rounding, half to even:

        y = clip(rint(float32(accumulator) * scale) + zero_point, low, high)

    scale: float32[1], or float32[channels] for one per output channel; input scale * weight scale / output scale.
    zero_point: of the output.
    low, high: inclusive integer bounds of the output; an activation is folded into them.
    """

    scale: NDArray[np.float32]
    zero_point: int
    low: int
    high: int

    def apply(self, value: Array, *, trailing: int = 0) -> Array:
        """value: accumulators, or floats that are nearly such (means). trailing: how many axes follow the channels."""
        scale = self.scale.reshape(-1, *[1] * trailing)
        return rounded(value.astype(np.float32) * scale, self.zero_point, self.low, self.high)


Requantize = Float32Scale


@dataclass(frozen=True)
class AddScales:
    """Requantization of an integer addition; float32 throughout, one rounding, half to even:

    y = clip(rint((a - zero_points[0]) * scales[0] + (b - zero_points[1]) * scales[1]) + zero_point, low, high)

    scales: each input's scale / output scale, as float32 values; a subtraction's second one is negative.
    """

    scales: tuple[float, float]
    zero_points: tuple[int, int]
    zero_point: int
    low: int
    high: int

    def apply(self, a: Array, b: Array) -> Array:
        real = dequantized(a, self.zero_points[0], self.scales[0]) + dequantized(b, self.zero_points[1], self.scales[1])
        return rounded(real, self.zero_point, self.low, self.high)
