"""ONNX files."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from openwork.files import write_whole
from openwork.graph import IR_VERSION
from openwork.passes import strip_metadata


def save_onnx(model: ir.Model, path: Path, *, metadata: Mapping[str, str] | None = None, sparse: bool = False) -> None:
    """Write a model as one ONNX file: whole or not at all, and the same bytes for the same model.

    Doc strings and metadata of other tools, in which machine paths hide, are left out.

    Args:
        model: not modified.
        sparse: write weights by their nonzero elements where that takes fewer bytes, as `sparse_initializer`.
        metadata: written into the file's metadata_props, where Netron shows it.
    Raises: ArtifactError: the file cannot be written.
    """
    clean = model.clone()
    strip_metadata(clean)
    clean.metadata_props.update(sorted((metadata or {}).items()))
    clean.producer_name, clean.producer_version = "openwork", None
    proto = ir.to_proto(clean)
    proto.ir_version = min(proto.ir_version, IR_VERSION)
    if sparse:
        _store_zeros_apart(proto.graph)
    write_whole(path, proto.SerializeToString(deterministic=True))


def _store_zeros_apart(graph: onnx.GraphProto) -> None:
    """Initializers as sparse ones, where that takes fewer bytes."""
    told = {value.name for value in (*graph.input, *graph.output)}  # these must be dense
    for index in reversed(range(len(graph.initializer))):
        tensor = graph.initializer[index]
        sparse = None if tensor.name in told else _sparse(tensor)
        if sparse is not None:
            graph.sparse_initializer.insert(0, sparse)
            del graph.initializer[index]


def _sparse(tensor: onnx.TensorProto) -> onnx.SparseTensorProto | None:
    """A tensor by its nonzero elements, at flat places; None where that is no less.

    Negative zeros, of which a weight times a mask is full, are zeros: they come back positive.
    """
    array = ir.serde.deserialize_tensor(tensor).numpy().reshape(-1)
    if array.dtype == object or ir.DataType(tensor.data_type).bitwidth < 8 or not tensor.dims:
        return None
    places = np.flatnonzero(array != 0).astype("<i8")
    values = ir.serde.serialize_tensor(ir.tensor(array[places], ir.DataType(tensor.data_type), name=tensor.name))
    indices = onnx.TensorProto(data_type=onnx.TensorProto.INT64, dims=[len(places)], raw_data=places.tobytes())
    sparse = onnx.SparseTensorProto(values=values, indices=indices, dims=tensor.dims)
    return sparse if sparse.ByteSize() < tensor.ByteSize() else None
