"""The ONNX graph in the making, and what every rule does to it.

A tensor of the file has two readings. *stored*: the numbers as the file has them, integers where it is quantized, in
the file's layout. *real*: the floats they stand for, behind a DequantizeLinear. What only moves elements reads what
is stored; what computes reads reals, and is written back through a QuantizeLinear. Changes of layout act on what is
stored, so that they move bytes and not floats.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from openwork.errors import ModelError
from openwork.frontends.tflite.network import Array, Network, Operator, Tensor

OPSET = 21

Layout = tuple[int, ...]
TO_NCHW: Layout = (0, 3, 1, 2)
TO_NHWC: Layout = (0, 2, 3, 1)


class Unsupported(Exception):  # noqa: N818 - a verdict on one operator, collected into one UnsupportedError
    """Why an operator cannot be taken."""


class Draft:
    """Nodes and constants so far, and the value of each tensor of the file."""

    def __init__(self, network: Network):
        self.network = network
        self.nodes: list[ir.Node] = []
        self.constants: list[ir.Value] = []
        self.values: dict[int, ir.Value] = {}
        self._names: dict[str, int] = {}
        self._label = ""
        self._outputs: list[ir.Value] = []
        self._stored: dict[tuple[int, Layout | None], ir.Value] = {}
        self._real: dict[tuple[int, Layout | None], ir.Value] = {}

    # The tensors of an operator.

    def tensor(self, op: Operator, index: int, rank: int | None = None) -> Tensor:
        """What the file says about an input.

        Raises: ModelError: it is absent, or has another rank.
        """
        if not self.has(op, index):
            raise ModelError(f"{op.label}: has no input {index}; the file is damaged: convert the model again")
        return _of_rank(self.network.tensors[op.inputs[index]], rank, op)

    def result(self, op: Operator, index: int = 0, rank: int | None = None) -> Tensor:
        """What the file says about an output, as `tensor` does about an input."""
        if index >= len(op.outputs):
            raise ModelError(f"{op.label}: has no output {index}; the file is damaged: convert the model again")
        return _of_rank(self.network.tensors[op.outputs[index]], rank, op)

    def has(self, op: Operator, index: int) -> bool:
        return index < len(op.inputs) and op.inputs[index] >= 0

    def array(self, op: Operator, index: int, what: str) -> Array:
        """The content of a constant input.

        Raises: Unsupported: it is computed at run time.
        """
        data = self.tensor(op, index).data
        if data is None:
            raise Unsupported(f"its {what} is computed at run time; openwork takes constants")
        return data

    # Reading.

    def stored(self, op: Operator, index: int, layout: Layout | None = None) -> ir.Value:
        """An input as the file has it, its axes permuted if a layout is given."""
        self.tensor(op, index)
        return self._read_stored(op.inputs[index], layout)

    def real(self, op: Operator, index: int, layout: Layout | None = None) -> ir.Value:
        """An input as the floats it stands for; where it is not quantized, as it is."""
        tensor, key = self.tensor(op, index), (op.inputs[index], layout)
        if not tensor.quantized:
            return self.stored(op, index, layout)
        if key not in self._real:
            self._real[key] = self._dequantize(self.stored(op, index, layout), tensor, layout)
        return self._real[key]

    def dequantized(self, op: Operator, index: int, value: ir.Value) -> ir.Value:
        """The floats that a value stands for if it holds numbers as an input does."""
        tensor = self.tensor(op, index)
        return self._dequantize(value, tensor, None) if tensor.quantized else value

    def real_of_rank(self, op: Operator, index: int, rank: int) -> ir.Value:
        """As `real`; a constant gets leading axes of size 1, so that layouts of all operands can change alike."""
        tensor = self.tensor(op, index)
        missing = rank - len(tensor.shape)
        if tensor.data is None or missing <= 0:
            return self.real(op, index)
        value = self.constant(tensor.data.reshape((1,) * missing + tensor.shape), tensor.name)
        return self._dequantize(value, tensor, None, moved=missing) if tensor.quantized else value

    def bias(self, op: Operator, index: int) -> ir.Value | None:
        """A layer's bias; one of integers has the scale of the products that it is added to.

        Raises: Unsupported: its integers are computed at run time, or do not fit 32 bits.
        """
        if not self.has(op, index):
            return None
        x, weight, tensor = self.tensor(op, 0), self.tensor(op, 1), self.tensor(op, index)
        if not (x.quantized and weight.quantized) or x.quantization is None or weight.quantization is None:
            return self.real(op, index)
        integers = self.array(op, index, "bias")
        if integers.dtype.kind != "i" or not np.array_equal(integers, integers.astype(np.int32)):
            raise Unsupported("its bias does not fit int32")
        scale = x.quantization.scale * weight.quantization.scale
        value = self.constant(integers.astype(np.int32).reshape(-1), tensor.name)
        scales = self.constant(scale if len(scale) > 1 else scale[0], f"{tensor.name}/scale")
        return self.emit("DequantizeLinear", value, scales, axis=0)

    # Writing.

    def constant(self, array: Any, name: str) -> ir.Value:
        """A new initializer."""
        unique = self._unique(name)
        value = ir.val(unique, const_value=ir.tensor(np.asarray(array, order="C"), name=unique))
        self.constants.append(value)
        return value

    def integers(self, numbers: Sequence[int], what: str) -> ir.Value:
        """A new int64 initializer: a shape, axes, pads."""
        return self.constant(np.asarray(numbers, np.int64), f"{self._label}/{what}")

    def scalar(self, number: float) -> ir.Value:
        """A new float32 initializer without axes."""
        return self.constant(np.float32(number), f"{self._label}/number")

    def emit(self, operator: str, *inputs: ir.Value | None, **attributes: Any) -> ir.Value:
        """Add a node with one output."""
        return self.emit_many(operator, 1, *inputs, **attributes)[0]

    def emit_many(self, operator: str, count: int, *inputs: ir.Value | None, **attributes: Any) -> Sequence[ir.Value]:
        """Add a node."""
        node = ir.node(operator, inputs, attributes, num_outputs=count)
        for output in node.outputs:
            output.name = self._unique(f"{self._label}/{operator}")
        node.name = node.outputs[0].name
        self.nodes.append(node)
        return node.outputs

    def write(
        self, op: Operator, value: ir.Value, layout: Layout | None = None, *, index: int = 0, stored: bool = False
    ) -> None:
        """Make a value an output of the operator: quantized, in the file's layout, under its name.

        Args:
            layout: the permutation that brings the value's axes into the file's order.
            stored: the value holds the numbers as the file has them.
        """
        value = self._quantized(op, value, index, stored)
        if layout is not None:
            value = self.emit("Transpose", value, perm=layout)
        self.bind(op.outputs[index], value)

    def write_shaped(self, op: Operator, value: ir.Value, *, index: int = 0, stored: bool = False) -> None:
        """As `write`, for a value whose elements are in order but whose shape may be another."""
        value = self._quantized(op, value, index, stored)
        self.bind(op.outputs[index], self.shaped(value, self.result(op, index).shape))

    def shaped(self, value: ir.Value, shape: Sequence[int]) -> ir.Value:
        return self.emit("Reshape", value, self.integers(shape, "shape"))

    def bind(self, index: int, value: ir.Value) -> None:
        """Let a value be a tensor of the file, under its name.

        Raises: ModelError: the tensor has a value already, or no elements.
        """
        tensor = self.network.tensors[index]
        if 0 in tensor.shape:
            shape = list(tensor.shape)
            raise ModelError(f"tensor {tensor.name!r}: has no elements, shape {shape}; convert with static shapes")
        if index in self.values or tensor.data is not None:
            raise ModelError(f"tensor {tensor.name!r}: is computed twice; the file is damaged: convert the model again")
        if value.producer() is not None:
            value.name = self._unique(tensor.name)
        self.values[index] = value

    def begin(self, op: Operator) -> None:
        """Name what follows after an operator."""
        self._label = op.label

    def declare_input(self, index: int) -> ir.Value:
        """The graph input of a tensor."""
        tensor = self.network.tensors[index]
        value = ir.val(self._unique(tensor.name), ir.DataType.from_numpy(tensor.dtype), tensor.shape)
        self.bind(index, value)
        return value

    def declare_output(self, index: int) -> ir.Value:
        """The graph output of a tensor: a copy, where its value is an input, a constant or another output."""
        value = self._read_stored(index, None)
        if value.producer() is None or value in self._outputs:
            self._label = "output"
            value = self.emit("Identity", value)
        self._outputs.append(value)
        return value

    # What these are made of.

    def _quantized(self, op: Operator, value: ir.Value, index: int, stored: bool) -> ir.Value:
        tensor = self.result(op, index)
        if stored or not tensor.quantized:
            return value
        return self.emit("QuantizeLinear", value, *self._params(tensor))

    def _read_stored(self, index: int, layout: Layout | None) -> ir.Value:
        key, tensor = (index, layout), self.network.tensors[index]
        if key in self._stored:
            return self._stored[key]
        if tensor.data is not None:
            array = tensor.data if layout is None else tensor.data.transpose(layout)
            value = self.constant(array, tensor.name)
        elif index not in self.values:
            raise ModelError(
                f"tensor {tensor.name!r}: is read before it is computed; the file is damaged: convert the model again"
            )
        elif layout is None:
            value = self.values[index]
        else:
            value = self.emit("Transpose", self.values[index], perm=layout)
        self._stored[key] = value
        return value

    def _dequantize(self, value: ir.Value, tensor: Tensor, layout: Layout | None, moved: int = 0) -> ir.Value:
        assert tensor.quantization is not None
        attributes = {}
        if tensor.quantization.axis is not None:
            axis = tensor.quantization.axis if layout is None else layout.index(tensor.quantization.axis)
            attributes["axis"] = axis + moved
        return self.emit("DequantizeLinear", value, *self._params(tensor), **attributes)

    def _params(self, tensor: Tensor) -> tuple[ir.Value, ir.Value]:
        """Scale and zero point, as ONNX takes them."""
        quantization = tensor.quantization
        assert quantization is not None
        scale, zero_point = quantization.scale, quantization.zero_point.astype(tensor.dtype)
        if quantization.axis is None:
            scale, zero_point = scale.reshape(()), zero_point.reshape(())
        return self.constant(scale, f"{tensor.name}/scale"), self.constant(zero_point, f"{tensor.name}/zero_point")

    def _unique(self, name: str) -> str:
        """The name, or the name with a number behind it where it is taken."""
        unique = name
        while unique in self._names:
            self._names[name] += 1
            unique = f"{name}_{self._names[name]}"
        self._names[unique] = 0
        return unique


def _of_rank(tensor: Tensor, rank: int | None, op: Operator) -> Tensor:
    if rank is not None and len(tensor.shape) != rank:
        raise Unsupported(f"{tensor.name!r} has {len(tensor.shape)} dimensions; openwork takes {rank} here")
    return tensor
