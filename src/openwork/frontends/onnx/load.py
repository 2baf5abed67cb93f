"""The door: ONNX files, and files of other kinds."""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

from openwork.errors import ModelError, one_line
from openwork.files import read_regular
from openwork.frontends.onnx import parts
from openwork.frontends.onnx.external_data import load_external_data
from openwork.frontends.onnx.rules import check_rules, invalid
from openwork.frontends.onnx.sparse_tensors import make_dense
from openwork.frontends.onnx.tidy import opset, tidy
from openwork.frontends.tensors import check_tensors
from openwork.graph import OLDEST_OPSET, constant
from openwork.guarded import RefusedError, convert_version

# Beyond what any network has: deeper, longer and more is an attack, or a mistake.
_DEEPEST = 64
_LONGEST_NAME = 10_000
_MOST_NODES = 1_000_000

# Bytes of a weight that is not left in the message it came in.
_LARGE = 1 << 12

# Of an Einsum: letters, ellipses, commas and an arrow, in any order.
_EQUATION = re.compile(rb"(?:[A-Za-z ,]|\.\.\.|->)*")

# From this version on Resize tells where each pixel comes from.
_FIRST_RESIZE = 11

# As old as OLDEST_OPSET. From version 4 on initializers need not be graph inputs.
_OLDEST_IR = 7


# Files of torch, which run or unpickle what they hold when they are loaded.
_TORCH_SUFFIXES = (".pt", ".pt2", ".pth", ".torchscript")


def load_model(path: Path, *, trust: bool = False, shapes: Mapping[str, tuple[int, ...]] | None = None) -> ir.Model:
    """Read a model from an ONNX or a .tflite file, with all its tensors in memory; not canonicalised.

    Operators older than opset 13 are converted to opset 13. Tensors kept in files of their own are read from
    the model's directory or below, never from elsewhere.

    Args:
        trust: take files of torch too (TorchScript `.pt`, exported programs `.pt2`). To load them is to run
            what is inside.
        shapes: of inputs by name, for TorchScript, which does not tell them.
    Raises: ModelError: the file is missing, truncated or no ONNX file; breaks the rules of ONNX; points to
        data outside its directory; has NaN or infinite weights; is too old to be converted; or is one of torch
        that is not trusted.
    """
    if is_torch_file(path):
        return _load_torch(path, trust, shapes or {})
    if path.suffix == ".tflite":
        from openwork.frontends.tflite import load_tflite  # its schema is some 200 modules

        return load_tflite(path)
    proto = _parse(path)
    _check_size(proto, path)
    load_external_data(proto, path)
    make_dense(proto, str(path))
    tidy(proto, str(path))
    check_rules(proto, str(path))
    model = _deserialize(_modern(proto, path), path)
    check_tensors(model, str(path))
    if opset(proto) < _FIRST_RESIZE:
        _resample_as_before(model)
    return model


def is_torch_file(path: Path) -> bool:
    """Whether a file's name says that torch wrote it."""
    return path.suffix.lower() in _TORCH_SUFFIXES


def _load_torch(path: Path, trust: bool, shapes: Mapping[str, tuple[int, ...]]) -> ir.Model:
    if not trust:
        raise ModelError(
            f"{path}: to load a file of torch is to run what is inside; "
            "give --trust (trust=True) if you know where it comes from, or export it to ONNX"
        )
    from openwork.frontends.torchscript import load_torch_file  # brings torch along

    return load_torch_file(path, shapes)


def _parse(path: Path) -> onnx.ModelProto:
    try:
        content = read_regular(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        raise _no_onnx(path) from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise _no_onnx(path)
    if any(isinstance(text, bytes) for text in _texts(proto)):
        raise ModelError(f"{path}: holds texts that are not UTF-8; export or copy the model again")
    return proto


def _no_onnx(path: Path) -> ModelError:
    if path.suffix.lower() == ".onnx":
        return ModelError(f"{path}: truncated, or no ONNX file; export or copy the model again")
    return ModelError(
        f"{path}: no model of a kind that is taken; give .onnx, .tflite, or .pt and .pt2 of torch, and export others"
    )


def _check_size(proto: onnx.ModelProto, path: Path) -> None:
    """Refuse names that no message can hold, nodes that are too deep or, written out, too many, and equations that
    ONNX's shape inference would read without end."""
    functions = {(each.domain, each.name, each.overload): each.node for each in proto.functions}
    sizes: dict[tuple[str, str, str], int] = {}

    def check_names(names: Iterable[str]) -> None:
        longest = max(map(len, names), default=0)
        if longest > _LONGEST_NAME:
            raise ModelError(f"{path}: holds a name of {longest} characters; export the model with shorter ones")

    def written_out(nodes: Iterable[onnx.NodeProto], depth: int) -> int:
        """How many nodes there are with those of subgraphs and functions in place."""
        if depth > _DEEPEST:
            raise ModelError(f"{path}: subgraphs or functions lie more than {_DEEPEST} deep; export the model flat")
        total = 0
        for node in nodes:
            total += 1
            for attribute in node.attribute:
                if node.op_type == "Einsum" and not _EQUATION.fullmatch(attribute.s):
                    raise ModelError(f"{path}: holds an Einsum whose equation is none; export the model again")
                for graph in (attribute.g, *attribute.graphs):
                    total += written_out(graph.node, depth + 1)
            key = (node.domain, node.op_type, node.overload)
            if key in functions:
                if key not in sizes:
                    sizes[key] = written_out(functions[key], depth + 1)
                total += sizes[key]
            names = (attribute.name for attribute in node.attribute)
            check_names((node.name, node.op_type, node.domain, *node.input, *node.output, *names))
        return total

    if written_out(proto.graph.node, 0) > _MOST_NODES:
        raise ModelError(f"{path}: has more than {_MOST_NODES} nodes when functions are written out; export it flat")
    check_names(each.name for each in (*parts.types(proto), *parts.tensors(proto), *proto.functions))


def _texts(message: Message) -> Iterator[str | bytes]:
    """Every string of a message and those inside it; what is not UTF-8 as bytes, as protobuf gives it."""
    if isinstance(message, onnx.AttributeProto):
        yield from map(_text, (message.s, *message.strings))
    for field, value in message.ListFields():
        if field.type in (field.TYPE_STRING, field.TYPE_MESSAGE):
            for each in value if field.is_repeated else (value,):
                yield from _texts(each) if field.type == field.TYPE_MESSAGE else (each,)


def _text(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def _modern(proto: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model, converted if its operators are old."""
    version = opset(proto)
    if version >= OLDEST_OPSET:
        return proto
    try:
        if any(node.op_type == "Hardmax" for node in proto.graph.node):
            raise ValueError("Hardmax has another meaning since")  # the converter leaves it as it is
        converted = convert_version(str(path), proto, OLDEST_OPSET)
        converted.ir_version = max(converted.ir_version, _OLDEST_IR)
        check_rules(converted, str(path))
    except (RefusedError, ModelError, ValueError) as error:
        raise ModelError(
            f"{path}: opset {version} cannot be converted to {OLDEST_OPSET} ({one_line(error)}); "
            f"export the model with opset {OLDEST_OPSET} or newer"
        ) from error
    return converted


def _resample_as_before(model: ir.Model) -> None:
    """What Upsample was, and Resize of opset 10: the converter leaves out how pixels are found.

    Nothing defined it; this is what onnxruntime does.
    """
    for graph in model.graphs():
        for node in graph:
            if node.op_type == "Resize":
                scales = constant(node.inputs[2])
                shrinks = scales is not None and bool(np.less(scales, 1).any())
                node.attributes.add(ir.AttrString("coordinate_transformation_mode", "asymmetric"))
                node.attributes.add(ir.AttrString("nearest_mode", "ceil" if shrinks else "floor"))


def _deserialize(proto: onnx.ModelProto, path: Path) -> ir.Model:
    """The model, with its larger weights as arrays: a message gives a copy of its bytes each time it is asked."""
    try:
        model = ir.from_proto(proto)
        for graph in model.graphs():
            for value in graph.initializers.values():
                tensor = value.const_value
                if tensor is not None and tensor.nbytes >= _LARGE:
                    value.const_value = ir.Tensor(tensor.numpy(), dtype=tensor.dtype, name=tensor.name)
    except Exception as error:  # what the rules let pass, onnx_ir refuses in many ways
        raise invalid(str(path), one_line(error)) from error
    return model
