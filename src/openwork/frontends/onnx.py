"""ONNX files."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx.version_converter
import onnx_ir as ir
from google.protobuf.message import DecodeError, Message  # type: ignore[import-untyped]

from openwork.errors import ModelError, one_line
from openwork.files import read_regular
from openwork.frontends.external_data import load_external_data
from openwork.frontends.tensors import check_tensors

# From this version on QuantizeLinear has an axis, and Squeeze, ReduceSum and their like take axes as inputs.
_OLDEST_OPSET = 13

# Of the same age. From version 4 on initializers need not be graph inputs.
_OLDEST_IR = 7


def load_model(path: Path) -> ir.Model:
    """Read a model from an ONNX file, with all its tensors in memory; not canonicalised.

    Operators older than opset 13 are converted to opset 13. Tensors kept in files of their own are read from
    the model's directory or below, never from elsewhere.

    Raises: ModelError: the file is missing, truncated or no ONNX file; breaks the rules of ONNX; points to
        data outside its directory; has NaN or infinite weights; or is too old to be converted.
    """
    proto = _parse(path)
    load_external_data(proto, path)
    _check(path)
    model = _deserialize(_modern(proto, path), path)
    check_tensors(model, str(path))
    return model


def _parse(path: Path) -> onnx.ModelProto:
    try:
        content = read_regular(path)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(content)
    except DecodeError as error:
        raise ModelError(f"{path}: truncated, or no ONNX file; export or copy the model again") from error
    if not proto.HasField("graph") or not proto.opset_import:
        raise ModelError(f"{path}: no ONNX model in this file; export or copy the model again")
    if any(isinstance(text, bytes) for text in _texts(proto)):
        raise ModelError(f"{path}: holds names that are not UTF-8; export or copy the model again")
    for opset in proto.opset_import:
        if opset.domain == "ai.onnx":  # the long name of the default domain
            opset.domain = ""
    return proto


def _texts(message: Message) -> Iterator[str | bytes]:
    """Every string of a message and those inside it; protobuf gives as bytes what is not UTF-8."""
    for field, value in message.ListFields():
        if field.type in (field.TYPE_STRING, field.TYPE_MESSAGE):
            for each in value if field.is_repeated else (value,):
                yield from _texts(each) if field.type == field.TYPE_MESSAGE else (each,)


def _check(path: Path) -> None:
    try:
        onnx.checker.check_model(path)
    except Exception as error:  # besides ValidationError: it quotes names, which may be no text in a damaged file
        raise _invalid(path, error) from error


def _modern(proto: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model, converted if its operators are old."""
    versions = {opset.domain: opset.version for opset in proto.opset_import}
    version = versions.get("", _OLDEST_OPSET)
    if version >= _OLDEST_OPSET:
        return proto
    try:
        converted = onnx.version_converter.convert_version(proto, _OLDEST_OPSET)
        converted.ir_version = max(converted.ir_version, _OLDEST_IR)
        onnx.checker.check_model(converted)
    except Exception as error:  # the converter, in C++, has no exception of its own
        raise ModelError(
            f"{path}: opset {version} cannot be converted to {_OLDEST_OPSET} ({one_line(error)}); "
            f"export the model with opset {_OLDEST_OPSET} or newer"
        ) from error
    return converted


def _deserialize(proto: onnx.ModelProto, path: Path) -> ir.Model:
    try:
        return ir.from_proto(proto)
    except Exception as error:  # what ONNX's checker lets pass, onnx_ir refuses in many ways
        raise _invalid(path, error) from error


def _invalid(path: Path, error: Exception) -> ModelError:
    return ModelError(f"{path}: not a valid ONNX model ({one_line(error)}); export or copy the model again")
