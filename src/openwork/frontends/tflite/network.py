"""What a .tflite file says, in plain values: nothing of its FlatBuffer is read again after this."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openwork.errors import ModelError

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Quantization:
    """real = (integer - zero_point) * scale.

    scale: float32[1], or float32[channels] along `axis`; bit for bit as in the file. zero_point: int64, the same shape.
    axis: the channel axis in the file's layout, or None for per tensor.
    """

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int | None

    def equals(self, other: "Quantization | None") -> bool:
        """Whether the same integers stand for the same numbers."""
        return (
            other is not None
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor: its static shape in the file's layout (NHWC for images), and its content if it is constant.

    quantization: None where the numbers stand for themselves.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    data: Array | None
    quantization: Quantization | None

    @property
    def quantized(self) -> bool:
        """Whether its integers are activations or weights: those of int32 are biases, and belong to their layer."""
        return self.quantization is not None and self.dtype.name in ("int8", "uint8", "int16")

    def same_numbers(self, other: "Tensor") -> bool:
        """Whether equal elements of both stand for equal numbers."""
        if not (self.quantized or other.quantized):
            return self.dtype == other.dtype
        return (
            self.dtype == other.dtype and self.quantization is not None and self.quantization.equals(other.quantization)
        )


@dataclass(frozen=True, eq=False)
class Operator:
    """One operator: its name in the schema, such as CONV_2D, the indices of its tensors, and its options.

    inputs: -1 stands for an optional input that is absent.
    """

    name: str
    label: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, Any]

    def option(self, field: str, default: Any = None) -> Any:
        """An option by its name in the schema; `default`, if there is one, where the file has no options at all.

        Raises: ModelError: the options are missing, or those of another operator.
        """
        if field in self.options:
            return self.options[field]
        if default is not None and not self.options:
            return default
        raise ModelError(f"{self.label}: has no option {field}; the file is damaged: convert the model again")


@dataclass(frozen=True, eq=False)
class Network:
    """The one graph of a file. Operators are in the order in which they run."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
