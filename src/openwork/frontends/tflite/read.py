"""The FlatBuffer of a .tflite file, checked while it is read.

The schema's accessors check nothing but that they stay inside the file. What else a hostile file can do is to claim
more than it holds, by tables and buffers that it names many times. So everything that is read is paid for from a
budget of a few times the file's size.
"""

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tflite

from openwork.errors import ModelError, one_line
from openwork.frontends.tflite.network import Array, Network, Operator, Quantization, Tensor

# What the schema's accessors raise where the file contradicts itself.
_DAMAGE = (struct.error, TypeError, ValueError, IndexError, OverflowError)

# In bytes: what a table is charged, which no table of a sound file falls below.
_TABLE = 32

# The schema's own limit is of this order; ONNX's operators have at most 8.
_RANK = 8

# Elements of one tensor; TFLite counts its bytes in 32 bits.
_ELEMENTS = 1 << 31

_DTYPES = {
    tflite.TensorType.FLOAT32: "float32",
    tflite.TensorType.FLOAT16: "float16",
    tflite.TensorType.FLOAT64: "float64",
    tflite.TensorType.INT4: "int8",
    tflite.TensorType.INT8: "int8",
    tflite.TensorType.INT16: "int16",
    tflite.TensorType.INT32: "int32",
    tflite.TensorType.INT64: "int64",
    tflite.TensorType.UINT8: "uint8",
    tflite.TensorType.UINT16: "uint16",
    tflite.TensorType.UINT32: "uint32",
    tflite.TensorType.BOOL: "bool",
}


def read_network(content: bytes) -> Network:
    """Read and check the content of a .tflite file.

    Returns: a network whose indices are inside their lists, whose shapes are static, and whose constants have the
        bytes that their shapes ask for.
    Raises: ModelError: it is damaged, or has several graphs, dynamic shapes, sparse tensors or state.
    """
    if content[4:8] != b"TFL3":
        raise ModelError("is no .tflite file; export or copy the model again")
    with _checked("the file"):
        return _Reader(content).network()


@contextmanager
def _checked(what: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise ModelError(
            f"{what} is damaged or truncated ({one_line(error)}); copy or convert the model again"
        ) from error


@dataclass
class _Reader:
    content: bytes
    spent: int = 0

    def network(self) -> Network:
        model = tflite.Model.GetRootAs(self.content)
        if model.SubgraphsLength() != 1:
            raise ModelError(
                f"the file has {model.SubgraphsLength()} graphs; openwork takes one: convert without control flow"
            )
        graph = model.Subgraphs(0)
        self._spend(_TABLE * (graph.TensorsLength() + graph.OperatorsLength() + model.OperatorCodesLength()))
        tensors = tuple(self._tensor(model, graph.Tensors(index), index) for index in range(graph.TensorsLength()))
        operators = tuple(self._operator(model, graph, index) for index in range(graph.OperatorsLength()))
        inputs = self._indices(graph.InputsAsNumpy(), len(tensors), lowest=0)
        outputs = self._indices(graph.OutputsAsNumpy(), len(tensors), lowest=0)
        if not outputs:
            raise ModelError("the file has no outputs; convert the model again")
        return Network(tensors, operators, inputs, outputs)

    def _spend(self, size: int) -> None:
        self.spent += size
        if self.spent > 4 * len(self.content) + 4096:
            raise ValueError("it claims to hold more than its size")

    def _tensor(self, model: Any, table: Any, index: int) -> Tensor:
        name = self._text(table.Name()) or f"tensor_{index}"
        what = f"tensor {name!r}"
        if table.Type() not in _DTYPES:
            raise ModelError(f"{what}: its type is {_type_name(table.Type())}; openwork takes numbers and bool")
        if table.Sparsity() is not None:
            raise ModelError(f"{what}: is stored as a sparse tensor; convert the model with dense weights")
        if table.IsVariable():
            raise ModelError(f"{what}: keeps state between runs; convert the model without variables")
        shape = self._shape(table, what)
        dtype = np.dtype(_DTYPES[table.Type()])
        with _checked(what):
            data = self._data(model, table, shape, dtype)
            return Tensor(name, shape, dtype, data, self._quantization(table.Quantization(), shape, dtype))

    def _text(self, text: bytes | None) -> str:
        self._spend(len(text or b""))
        return (text or b"").decode(errors="replace")

    def _shape(self, table: Any, what: str) -> tuple[int, ...]:
        if table.ShapeLength() > _RANK or table.ShapeSignatureLength() > _RANK:
            raise ModelError(f"{what}: has more than {_RANK} dimensions; convert the model again")
        shape = tuple(table.Shape(axis) for axis in range(table.ShapeLength()))
        signature = tuple(table.ShapeSignature(axis) for axis in range(table.ShapeSignatureLength()))
        # An open batch has size 1 in `shape`, and so the interpreter runs it. Other open dimensions have no size.
        if any(size < 0 for size in shape) or any(size < 0 for size in signature[1:]):
            raise ModelError(f"{what}: its shape {list(signature or shape)} is dynamic; convert with static shapes")
        if math.prod(shape) >= _ELEMENTS:
            raise ModelError(f"{what}: its shape {list(shape)} has too many elements; convert the model again")
        return shape

    def _data(self, model: Any, table: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array | None:
        """A copy of the constant's elements; None for a tensor that is computed."""
        if table.Buffer() >= model.BuffersLength():
            raise ValueError(f"it names buffer {table.Buffer()} of {model.BuffersLength()}")
        raw = self._bytes(model.Buffers(table.Buffer()))
        if not len(raw):
            return None if math.prod(shape) else np.empty(shape, dtype)
        self._spend(len(raw))
        if table.Type() == tflite.TensorType.INT4:
            raw = _unpacked(raw, math.prod(shape))
        if len(raw) != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"it has {len(raw)} bytes, its shape is {list(shape)}")
        if dtype == np.bool_ and (raw > 1).any():
            raise ValueError("it has truth values other than 0 and 1")
        return np.frombuffer(raw.tobytes(), dtype).reshape(shape)

    def _bytes(self, buffer: Any) -> Array:
        """The bytes of a buffer: inside the FlatBuffer, or behind it in large files."""
        if buffer.Offset() > 1:
            if buffer.Offset() + buffer.Size() > len(self.content):
                raise ValueError(f"its {buffer.Size()} bytes at {buffer.Offset()} lie outside the file")
            return np.frombuffer(self.content, np.uint8, buffer.Size(), buffer.Offset())
        return _vector(buffer.DataAsNumpy())

    def _quantization(self, table: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Quantization | None:
        """None for wide integers: a bias has the scales of its layer, and old converters wrote others beside it, along
        the axis of the weights. No kernel reads them."""
        if table is None or dtype.kind not in "iu" or dtype.itemsize > 2:
            return None
        scale, zero_point = _vector(table.ScaleAsNumpy()), _vector(table.ZeroPointAsNumpy())
        if not len(scale):
            return None
        self._spend(scale.nbytes + zero_point.nbytes)
        axis = None if len(scale) == 1 else table.QuantizedDimension()
        if axis is not None and not (0 <= axis < len(shape) and len(scale) == shape[axis]):
            raise ValueError(f"it has {len(scale)} scales along axis {axis} of {list(shape)}")
        if len(zero_point) not in (0, 1, len(scale)):
            raise ValueError(f"it has {len(zero_point)} zero points for {len(scale)} scales")
        if not (np.isfinite(scale) & (scale > 0)).all():
            raise ValueError("it has a scale that is not positive and finite")
        limits = np.iinfo(dtype)
        if len(zero_point) and not (limits.min <= zero_point.min() and zero_point.max() <= limits.max):
            raise ValueError(f"it has a zero point that is no {dtype}")
        zeros = np.zeros(len(scale), np.int64) + (zero_point if len(zero_point) else 0)
        return Quantization(scale.astype(np.float32), zeros, axis)

    def _operator(self, model: Any, graph: Any, index: int) -> Operator:
        table = graph.Operators(index)
        if table.OpcodeIndex() >= model.OperatorCodesLength():
            raise ValueError(f"operator {index} has code {table.OpcodeIndex()} of {model.OperatorCodesLength()}")
        code = model.OperatorCodes(table.OpcodeIndex())
        name = _operator_names().get(max(code.BuiltinCode(), code.DeprecatedBuiltinCode()), "unknown")
        if name == "CUSTOM":
            name = f"CUSTOM {self._text(code.CustomCode())}"
        label = f"{name.lower()}_{index}"
        count = graph.TensorsLength()
        with _checked(label):
            inputs = self._indices(table.InputsAsNumpy(), count, lowest=-1)
            outputs = self._indices(table.OutputsAsNumpy(), count, lowest=0)
            return Operator(name, label, inputs, outputs, _options(table))

    def _indices(self, numbers: Any, count: int, lowest: int) -> tuple[int, ...]:
        vector = _vector(numbers)
        self._spend(vector.nbytes)
        if len(vector) and not (lowest <= vector.min() and vector.max() < count):
            raise ValueError(f"it names a tensor outside its {count}")
        return tuple(vector.tolist())


def _vector(numbers: Any) -> Array:
    """The schema's accessors give 0 for a vector that is absent."""
    return np.empty(0, np.uint8) if isinstance(numbers, int) else numbers


def _unpacked(raw: Array, count: int) -> Array:
    """int8 of numbers of four bits, two in a byte, the first in the low half."""
    halves = np.stack([raw << 4, raw], axis=-1).astype(np.uint8).view(np.int8) >> 4
    return halves.reshape(-1)[:count].view(np.uint8)


def _options(operator: Any) -> dict[str, Any]:
    """The scalars among the options of an operator, by name."""
    table, kind = operator.BuiltinOptions(), _option_names().get(operator.BuiltinOptionsType())
    if table is None or kind is None:
        return {}
    options = getattr(tflite, kind)()
    options.Init(table.Bytes, table.Pos)
    return {field: getattr(options, field)() for field in _scalars(kind)}


@cache
def _scalars(kind: str) -> tuple[str, ...]:
    """The fields of a table of options that are one number: those without a length, and without an offset in it."""
    fields = {name for name in dir(getattr(tflite, kind)) if name[0].isupper() and name != "Init"}
    vectors = {field.removesuffix("Length") for field in fields if field.endswith("Length")}
    return tuple(
        sorted(
            field
            for field in fields
            if not any(field.startswith(vector) for vector in vectors)
            and not field.startswith("GetRootAs")
            and not field.endswith("BufferHasIdentifier")
        )
    )


@cache
def _option_names() -> dict[int, str]:
    return {code: name for name, code in vars(tflite.BuiltinOptions).items() if isinstance(code, int) and code}


@cache
def _operator_names() -> dict[int, str]:
    return {code: name for name, code in vars(tflite.BuiltinOperator).items() if isinstance(code, int)}


def _type_name(code: int) -> str:
    names = {value: name for name, value in vars(tflite.TensorType).items() if isinstance(value, int)}
    return names.get(code, f"number {code}")
