"""Writes small .tflite files, and runs them in the interpreter of their makers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np
import tflite
import tflite_micro
from ai_edge_litert.interpreter import Interpreter, OpResolverType

Array = np.ndarray[Any, Any]


@dataclass
class Tensor:
    """One tensor; constant if it has data, or the data of another tensor, by its index."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: Array | None = None
    scale: Sequence[float] = ()
    zero_point: Sequence[int] = ()
    axis: int = 0
    signature: tuple[int, ...] | None = None
    variable: bool = False
    sparse: bool = False
    data_of: int | None = None


@dataclass
class Operator:
    name: str
    inputs: Sequence[int]
    outputs: Sequence[int]
    kind: str = ""
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class File:
    """What a file holds, to be changed at will before it is written."""

    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    graphs: int = 1

    def add(self, *args: Any, **kwargs: Any) -> int:
        """A tensor, as `Tensor` takes it; returns its index."""
        self.tensors.append(Tensor(*args, **kwargs))
        return len(self.tensors) - 1

    def content(self) -> bytes:
        return _Builder(self).content()


# Of operators whose first version the interpreter has dropped.
_VERSIONS = {"BROADCAST_TO": 2}


class _Builder:
    def __init__(self, file: File):
        self.file = file
        self.b = flatbuffers.Builder(1024)

    def content(self) -> bytes:
        b, file = self.b, self.file
        buffers = [self.buffer(None), *(self.buffer(tensor.data) for tensor in file.tensors)]
        names = sorted({op.name for op in file.operators})
        codes = [self.code(name) for name in names]
        graphs = [self.graph(names) for _ in range(file.graphs)]
        parts = {
            "OperatorCodes": self.tables(codes),
            "Subgraphs": self.tables(graphs),
            "Buffers": self.tables(buffers),
        }
        model = self.table("Model", Version=3, **parts)
        b.Finish(model, b"TFL3")
        return bytes(b.Output())

    def graph(self, names: list[str]) -> int:
        tensors = [self.tensor(index + 1, tensor) for index, tensor in enumerate(self.file.tensors)]
        operators = [self.operator(names.index(op.name), op) for op in self.file.operators]
        return self.table(
            "SubGraph",
            Tensors=self.tables(tensors),
            Inputs=self.numbers(self.file.inputs, "int32"),
            Outputs=self.numbers(self.file.outputs, "int32"),
            Operators=self.tables(operators),
        )

    def tensor(self, buffer: int, tensor: Tensor) -> int:
        parts = {}
        if tensor.scale:
            parts["Quantization"] = self.table(
                "QuantizationParameters",
                Scale=self.numbers(tensor.scale, "float32"),
                ZeroPoint=self.numbers(tensor.zero_point, "int64"),
                QuantizedDimension=tensor.axis,
            )
        if tensor.signature is not None:
            parts["ShapeSignature"] = self.numbers(tensor.signature, "int32")
        if tensor.sparse:
            parts["Sparsity"] = self.table("SparsityParameters")
        return self.table(
            "Tensor",
            Shape=self.numbers(tensor.shape, "int32"),
            Type=getattr(tflite.TensorType, tensor.dtype.upper()),
            Buffer=buffer if tensor.data_of is None else tensor.data_of + 1,
            Name=self.b.CreateString(tensor.name),
            IsVariable=tensor.variable,
            **parts,
        )

    def operator(self, code: int, op: Operator) -> int:
        parts = {}
        if op.kind:
            parts["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, op.kind)
            vectors = {
                name: self.numbers(value, "int32") if isinstance(value, (list, tuple)) else value
                for name, value in op.options.items()
            }
            parts["BuiltinOptions"] = self.table(op.kind, **vectors)
        return self.table(
            "Operator",
            OpcodeIndex=code,
            Inputs=self.numbers(op.inputs, "int32"),
            Outputs=self.numbers(op.outputs, "int32"),
            **parts,
        )

    def code(self, name: str) -> int:
        builtin, _, custom = name.partition(" ")
        number = getattr(tflite.BuiltinOperator, builtin)
        parts = {"CustomCode": self.b.CreateString(custom)} if custom else {}
        return self.table(
            "OperatorCode",
            DeprecatedBuiltinCode=min(number, 127),
            BuiltinCode=number,
            Version=_VERSIONS.get(builtin, 1),
            **parts,
        )

    def buffer(self, data: Array | None) -> int:
        return self.table("Buffer", **({} if data is None else {"Data": self.b.CreateNumpyVector(_bytes(data))}))

    def numbers(self, values: Sequence[float], dtype: str) -> int:
        return self.b.CreateNumpyVector(np.asarray(values, dtype))

    def tables(self, offsets: list[int]) -> int:
        self.b.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.b.PrependUOffsetTRelative(offset)
        return self.b.EndVector()

    def table(self, kind: str, **fields: Any) -> int:
        getattr(tflite, f"{kind}Start")(self.b)
        for name, value in fields.items():
            getattr(tflite, f"{kind}Add{name}")(self.b, value)
        return getattr(tflite, f"{kind}End")(self.b)


def _bytes(data: Array) -> Array:
    return np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)


class Peer:
    """A file in ai_edge_litert's reference interpreter, which knows the shapes of all outputs."""

    def __init__(self, content: bytes):
        try:
            self._interpreter = _interpreter(content, OpResolverType.BUILTIN_REF)
        except ValueError:  # a few operators have no reference
            self._interpreter = _interpreter(content, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
        self._interpreter.allocate_tensors()

    def output_shapes(self) -> list[tuple[int, ...]]:
        return [tuple(detail["shape"].tolist()) for detail in self._interpreter.get_output_details()]

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        for detail, array in zip(self._interpreter.get_input_details(), inputs, strict=True):
            self._interpreter.set_tensor(detail["index"], array)
        self._interpreter.invoke()
        return [self._interpreter.get_tensor(detail["index"]) for detail in self._interpreter.get_output_details()]


class MicroPeer:
    """A file in TFLite Micro, whose integer arithmetic is the one of microcontrollers."""

    def __init__(self, content: bytes):
        self._interpreter = tflite_micro.runtime.Interpreter.from_bytes(content)
        self._outputs = tflite.Model.GetRootAs(content).Subgraphs(0).OutputsLength()

    def run(self, inputs: Sequence[Array]) -> list[Array]:
        for index, array in enumerate(inputs):
            self._interpreter.set_input(array, index)
        self._interpreter.invoke()
        return [self._interpreter.get_output(index) for index in range(self._outputs)]


def _interpreter(content: bytes, operators: OpResolverType) -> Interpreter:
    return Interpreter(model_content=content, num_threads=1, experimental_op_resolver_type=operators)
