"""What the inputs of a model take."""

from dataclasses import dataclass, field
from typing import NamedTuple

import onnx_ir as ir

from openwork.errors import ModelError
from openwork.graph import constant, static_shape

_QUANTIZED = ("uint8", "int8", "int16", "uint16")
_MOVING = ("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze")


class Quantization(NamedTuple):
    """How integers of `dtype`, as NumPy names it, stand for real values: (integer - zero_point) * scale."""

    scale: float
    zero_point: int
    dtype: str


@dataclass(frozen=True)
class TensorSpec:
    """What one input of a model takes: its name, static shape, and dtype as NumPy names it.

    quantization: what the integers of the input mean, or which integers its floats become first; None where the
        model does not say.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.name} {self.dtype}{list(self.shape)}"

    @property
    def batch(self) -> int:
        """Samples in one array of this shape; a scalar is one sample."""
        return self.shape[0] if self.shape else 1

    @property
    def sample(self) -> tuple[int, ...]:
        """The shape of one sample, without the batch axis."""
        return self.shape[1:]


def input_specs(model: ir.Model) -> tuple[TensorSpec, ...]:
    """The inputs of a model, in order, without those that are initializers.

    Raises: ModelError: an input has a symbolic or empty shape, or no numeric type.
    """
    values = [value for value in model.graph.inputs if value.name not in model.graph.initializers]
    return tuple(_spec(value) for value in values)


def _spec(value: ir.Value) -> TensorSpec:
    shape = static_shape(value)
    if 0 in shape:
        raise ModelError(f"input {value.name!r}: has no elements, shape {list(shape)}; set another shape")
    if value.dtype in (None, ir.DataType.UNDEFINED, ir.DataType.STRING):
        raise ModelError(f"input {value.name!r}: has no numeric type; export the model with typed inputs")
    return TensorSpec(str(value.name), shape, value.dtype.numpy().name, _quantization(value))


def _quantization(value: ir.Value) -> Quantization | None:
    """As the first QuantizeLinear or DequantizeLinear has it, of the whole tensor, that reads an input as it is, or in
    another shape or order."""
    for node, place in value.uses():
        if place != 0 or node.domain:
            continue
        found = None
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            found = _parameters(node, node.outputs[0] if node.op_type == "QuantizeLinear" else value)
        elif node.op_type in _MOVING:
            found = _quantization(node.outputs[0])
        if found is not None:
            return found
    return None


def _parameters(node: ir.Node, integers: ir.Value) -> Quantization | None:
    scale, zero_point = constant(node.inputs[1]), constant(node.inputs[2] if len(node.inputs) > 2 else None)
    if scale is None or scale.size != 1 or integers.dtype is None:
        return None
    dtype = integers.dtype.numpy().name
    if dtype not in _QUANTIZED:
        return None
    return Quantization(float(scale.item()), 0 if zero_point is None else int(zero_point.item()), dtype)
