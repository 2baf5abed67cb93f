"""How integers stand for real numbers."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class QuantParams:
    """real = (integer - zero_point) * scale, per tensor or per channel (ONNX QuantizeLinear).

    scale: float32[1], or float32[channels] along `axis`. Positive and finite.
    zero_point: int32, the shape of scale.
    axis: the channel axis, or None for per tensor.
    bits: 4, 8 or 16. signed: whether integers run from -2^(bits-1) or from 0.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int32]
    axis: int | None = None
    bits: int = 8
    signed: bool = True

    @property
    def low(self) -> int:
        """The smallest integer."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def high(self) -> int:
        """The largest integer."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def dtype(self) -> str:
        """NumPy's name of the integer type that holds them: `int8`, `uint8`, `int16`, ..."""
        width = 8 if self.bits <= 8 else 16
        return f"int{width}" if self.signed else f"uint{width}"

    def quantize(self, real: NDArray[np.float32]) -> NDArray[np.generic]:
        """clip(rint(real / scale) + zero_point, low, high), half to even, in float32; shape of `real`."""
        scale, zero_point = self._broadcast(real.ndim)
        integers = np.rint(real.astype(np.float32) / scale) + zero_point.astype(np.float32)
        return np.clip(integers, self.low, self.high).astype(self.dtype)

    def dequantize(self, integers: NDArray[np.generic]) -> NDArray[np.float32]:
        """float32(integer - zero_point) * scale. Same shape as `integers`."""
        scale, zero_point = self._broadcast(integers.ndim)
        return (integers.astype(np.int32) - zero_point).astype(np.float32) * scale

    def _broadcast(self, rank: int) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        if self.axis is None:
            return self.scale.reshape(()), self.zero_point.reshape(())
        shape = [1] * rank
        shape[self.axis] = -1
        return self.scale.reshape(shape), self.zero_point.reshape(shape)
