"""Tensors that an ONNX file keeps in other files."""

from collections.abc import Iterator
from pathlib import Path

import onnx
import onnx_ir as ir

from openwork.errors import ModelError, one_line


def load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Bring external tensors into the model.

    Args:
        path: of the ONNX file. Nothing outside its directory is read; links do not help.
    Raises: ModelError: a location is outside, or its file is missing or does not hold the tensor.
    """
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.raw_data = _read(tensor, path)
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every dense tensor, in initializers and attributes, down into subgraphs."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from [attribute.t, *attribute.tensors]
            for subgraph in [attribute.g, *attribute.graphs]:
                yield from _tensors(subgraph)


def _read(tensor: onnx.TensorProto, path: Path) -> bytes:
    name = f"{path}: tensor {tensor.name!r}"
    try:
        return _bytes(tensor, path.parent.resolve(), name)
    except (OSError, TypeError, ValueError) as error:
        raise ModelError(f"{name} cannot be read ({one_line(error)}); export or copy the model again") from error


def _bytes(tensor: onnx.TensorProto, directory: Path, name: str) -> bytes:
    info = {entry.key: entry.value for entry in tensor.external_data}
    location = info.get("location", "")
    file = (directory / location).resolve()
    if not file.is_relative_to(directory):
        raise ModelError(f"{name} is outside the model's directory, in {location!r}; put its data beside the model")
    if not file.is_file():
        raise ModelError(f"{name} is in {location!r}, which is missing; put its data beside the model")

    size = ir.serde.TensorProtoTensor(tensor).nbytes
    offset, length = int(info.get("offset", 0)), int(info.get("length", size))
    if offset < 0 or length != size or offset + size > file.stat().st_size:
        raise ModelError(f"{name} does not fit {location!r}, which is truncated or of another model; copy it again")
    with file.open("rb") as content:
        content.seek(offset)
        return content.read(size)
