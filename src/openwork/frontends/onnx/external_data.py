"""Tensors that an ONNX file keeps in other files."""

from collections import Counter
from pathlib import Path

import onnx
import onnx_ir as ir

from openwork.errors import ModelError, one_line
from openwork.frontends.onnx import parts

# How often the bytes of a file may be read, on average: tied weights are, but a small file must not fill the memory.
_SHARED = 4


def load_external_data(model: onnx.ModelProto, path: Path) -> None:
    """Bring external tensors into the model.

    Args:
        path: of the ONNX file. Nothing outside its directory is read; symbolic links do not help. A hard link
            is a file like any other: it cannot be told from one.
    Raises: ModelError: a location is outside; its file is missing or does not hold the tensor; or tensors ask for
        the same bytes again and again.
    """
    read: Counter[str] = Counter()
    for tensor in parts.tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.raw_data = _read(tensor, path, read)
            tensor.ClearField("data_location")
            tensor.ClearField("external_data")


def _read(tensor: onnx.TensorProto, path: Path, read: Counter[str]) -> bytes:
    name = f"{path}: tensor {tensor.name!r}"
    try:
        return _bytes(tensor, path.parent.resolve(), name, read)
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # RuntimeError: links that lead to each other
        raise ModelError(f"{name} cannot be read ({one_line(error)}); export or copy the model again") from error


def _bytes(tensor: onnx.TensorProto, directory: Path, name: str, read: Counter[str]) -> bytes:
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
    read[str(file)] += size
    if read[str(file)] > _SHARED * file.stat().st_size:
        raise ModelError(f"{name} is one of many on the same bytes of {location!r}; export the model again")
    with file.open("rb") as content:
        content.seek(offset)
        return content.read(size)
