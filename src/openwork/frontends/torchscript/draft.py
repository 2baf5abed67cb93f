"""An ONNX graph in the making: nodes, and constants with their integers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
import torch
from numpy.typing import NDArray

# The integers of quantized tensors.
_INTEGERS = {torch.quint8: np.uint8, torch.qint8: np.int8}


class Unsupported(Exception):  # noqa: N818 - a reason, which never leaves this package
    """Why an operator of torch cannot be taken."""


@dataclass
class Draft:
    """Grows a graph; every value in it is float where torch's tensor is float or quantized."""

    nodes: list[ir.Node] = field(default_factory=list)
    constants: dict[str, ir.Value] = field(default_factory=dict)

    def node(
        self,
        operator: str,
        inputs: Sequence[ir.Value | None],
        attributes: Mapping[str, object] | None = None,
        *,
        name: str,
        outputs: int = 1,
    ) -> Sequence[ir.Value]:
        """Append a node; its outputs are called after it: `name`, `name.1`, `name.2`, ..."""
        node = ir.node(operator, inputs, attributes, num_outputs=outputs, name=name)  # type: ignore[arg-type]
        for index, value in enumerate(node.outputs):
            value.name = f"{name}.{index}" if index else name
        self.nodes.append(node)
        return node.outputs

    def constant(self, array: NDArray[np.generic], name: str) -> ir.Value:
        """An initializer `name`, or `name_1`, ... where that is taken by another array."""
        unique, count = name, 0
        while unique in self.constants:
            if _same(self.constants[unique], array):
                return self.constants[unique]
            count += 1
            unique = f"{name}_{count}"
        value = ir.val(unique, const_value=ir.tensor(np.array(array, order="C"), name=unique))
        self.constants[unique] = value
        return value

    def integers(self, numbers: Iterable[int], name: str) -> ir.Value:
        """A constant int64[any]: axes, sizes, pads."""
        return self.constant(np.array(list(numbers), np.int64), name)

    def tensor(self, tensor: torch.Tensor, name: str) -> ir.Value:
        """A constant of torch; a quantized one keeps its integers, behind a DequantizeLinear."""
        tensor = tensor.detach().cpu()
        if not tensor.is_quantized:
            return self.constant(tensor.numpy(), name)
        scale, zero_point, axis = quantization_of(tensor)
        return self.dequantize(tensor.int_repr().numpy(), scale, zero_point, axis, name)

    def dequantize(
        self,
        integers: NDArray[np.generic],
        scale: NDArray[np.float32],
        zero_point: NDArray[np.generic],
        axis: int | None,
        name: str,
    ) -> ir.Value:
        """The reals of constant integers; axis None: one scale for all."""
        inputs = [
            self.constant(integers, f"{name}_quantized"),
            self.constant(scale, f"{name}_scale"),
            self.constant(zero_point, f"{name}_zero_point"),
        ]
        attributes = {} if axis is None else {"axis": axis}
        return self.node("DequantizeLinear", inputs, attributes, name=f"{name}_dequantized")[0]

    def quantized_as(self, value: ir.Value, example: torch.Tensor) -> ir.Value:
        """The reals of `value` after they were rounded to the integers of `example`."""
        scale, zero_point, axis = quantization_of(example)
        if axis is not None:
            raise Unsupported("an activation has one scale per channel; quantize activations per tensor")
        name = value.name or "x"
        numbers = [self.constant(scale, f"{name}_scale"), self.constant(zero_point, f"{name}_zero_point")]
        integers = self.node("QuantizeLinear", [value, *numbers], name=f"{name}_quantized")[0]
        return self.node("DequantizeLinear", [integers, *numbers], name=f"{name}_dequantized")[0]


def quantization_of(tensor: torch.Tensor) -> tuple[NDArray[np.float32], NDArray[np.generic], int | None]:
    """Scale and zero point of a quantized tensor, scalars or one per channel, and the channels' axis.

    torch keeps scales as float64; as its observers compute them in float32, nothing is lost.
    """
    integers = _INTEGERS.get(tensor.dtype)
    if integers is None:
        raise Unsupported(f"its integers are {tensor.dtype}; quantize with quint8 or qint8")
    if tensor.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return np.asarray(np.float32(tensor.q_scale())), np.asarray(tensor.q_zero_point(), integers), None
    if tensor.qscheme() not in (torch.per_channel_affine, torch.per_channel_symmetric):
        raise Unsupported(f"its scheme is {tensor.qscheme()}; quantize with integer zero points")
    scale = tensor.q_per_channel_scales().numpy().astype(np.float32)
    zero_point = tensor.q_per_channel_zero_points().numpy().astype(integers)
    return scale, zero_point, tensor.q_per_channel_axis()


def _same(value: ir.Value, array: NDArray[np.generic]) -> bool:
    assert value.const_value is not None
    known = value.const_value.numpy()
    return known.dtype == array.dtype and np.array_equal(known, array)
