"""The names of a Program while it is being written."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import QuantParams, Rounding
from openwork.lowering.arithmetic import Buffer
from openwork.lowering.program import Program
from openwork.lowering.steps import Step


class Unsupported(Exception):  # noqa: N818 - says what a node is, and never leaves this package
    """Why a node cannot be lowered; `lower` collects the reasons of all nodes into one UnsupportedError."""


@dataclass(frozen=True, eq=False)
class Quantized:
    """What a float constant is made from, where a DequantizeLinear makes it: real = params(integers).

    integers: name of the integer constant, of the same shape as the float one.
    """

    integers: str
    params: QuantParams


@dataclass
class Draft:
    """Buffers, constants and steps so far.

    opset: version of the standard ONNX operators.
    tensors: names of all tensors of the ONNX graph, which nothing else may be called.
    rounding: how the model wants its integers rounded.
    quantized: the integers behind those float constants that come out of a DequantizeLinear.
    notes: see `Program`.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int
    tensors: frozenset[str] = frozenset()
    rounding: Rounding = "float32"
    buffers: dict[str, Buffer] = field(default_factory=dict)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    quantized: dict[str, Quantized] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def constant_of(self, node: ir.Node, index: int, role: str) -> str:
        """Name of the constant at an input of a node.

        Raises: Unsupported: the input is known only at run time.
        """
        name = input_name(node, index)
        if name not in self.constants:
            raise Unsupported(f"its {role} {name!r} is not constant")
        return name

    def optional_constant_of(self, node: ir.Node, index: int, role: str) -> str | None:
        """The same; None where the input is left out."""
        present = index < len(node.inputs) and node.inputs[index] is not None
        return self.constant_of(node, index, role) if present else None

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a buffer or constant."""
        return self.constants[name].shape if name in self.constants else self.buffers[name].shape

    def dtype_of(self, name: str) -> str:
        """The dtype of a buffer or constant."""
        return str(self.constants[name].dtype) if name in self.constants else self.buffers[name].dtype

    def add_buffer(self, hint: str, shape: tuple[int, ...], dtype: str) -> str:
        """Add a buffer that is no tensor of the ONNX graph; returns its name, `hint` or one like it."""
        name = self._unused(hint)
        self.buffers[name] = Buffer(shape, dtype)
        return name

    def add_constant(self, hint: str, array: NDArray[Any]) -> str:
        """Add a constant that is no tensor of the ONNX graph; returns its name, `hint` or one like it."""
        name = self._unused(hint)
        self.constants[name] = array
        return name

    def add_transposed(self, name: str) -> str:
        """Add the transpose of a matrix; returns its name. The integers behind it are transposed too."""
        transposed = self.add_constant(f"{name}/transposed", self.constants[name].T)
        if name in self.quantized:
            integers, params = self.quantized[name].integers, self.quantized[name].params
            axis = None if params.axis is None else 1 - params.axis
            self.quantized[transposed] = Quantized(self.add_transposed(integers), replace(params, axis=axis))
        return transposed

    def program(self) -> Program:
        """What has been written. Constants become C-contiguous and read-only."""
        return Program(
            self.inputs,
            self.outputs,
            dict(self.buffers),
            {name: _frozen(array) for name, array in self.constants.items()},
            tuple(self.steps),
            tuple(self.notes),
        )

    def _unused(self, hint: str) -> str:
        name = hint
        while name in self.tensors or name in self.buffers or name in self.constants:
            name += "'"
        return name


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(array, order="C").view()
    array.flags.writeable = False
    return array


def input_name(node: ir.Node, index: int = 0) -> str:
    """Name of an input that the operator cannot do without."""
    value = node.inputs[index]
    assert value is not None and value.name is not None
    return value.name


def output_name(node: ir.Node, index: int = 0) -> str:
    """Name of an output."""
    name = node.outputs[index].name
    assert name is not None
    return name
