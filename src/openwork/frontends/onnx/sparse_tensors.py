"""Tensors that an ONNX file keeps by their nonzero elements (COO), as it keeps pruned weights."""

from collections.abc import Callable
from math import prod

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import ModelError, one_line
from openwork.frontends.onnx import parts

# Elements that all sparse tensors of a model together may have, beyond a thousand for each stored one: a small file
# must not fill the memory.
_ADDED_ELEMENTS = 1 << 24
_ELEMENTS_FOR_EACH = 1000
_LARGEST = 2**31 - 1

_INDICES = (onnx.TensorProto.INT8, onnx.TensorProto.INT16, onnx.TensorProto.INT32, onnx.TensorProto.INT64)


def make_dense(model: onnx.ModelProto, source: str) -> None:
    """Make every sparse tensor of a model a dense one, in initializers and attributes, down into subgraphs.

    Requires: no external data.
    Args:
        source: what the message calls the model: its file name.
    Raises: ModelError: a sparse tensor has no valid sizes, types or places; or all are too large. Names it.
    """
    left = _ADDED_ELEMENTS

    def dense(sparse: onnx.SparseTensorProto, name: str) -> onnx.TensorProto:
        nonlocal left
        try:
            values, places = _stored(sparse)
            size = prod(sparse.dims)
            left += _ELEMENTS_FOR_EACH * len(values) - size
            if left < 0 or size > _LARGEST:
                raise ValueError(f"its shape {list(sparse.dims)} has far more elements than it stores; store it dense")
            array = _array(values, places, tuple(sparse.dims))
        except (TypeError, ValueError) as error:
            raise ModelError(
                f"{source}: sparse tensor {name!r} is damaged ({one_line(error)}); export or copy the model again"
            ) from error
        return onnx.TensorProto(
            name=name, data_type=sparse.values.data_type, dims=sparse.dims, raw_data=array.tobytes()
        )

    for graph in parts.graphs(model):
        for sparse in reversed(graph.sparse_initializer):  # in front: the first initializer of a name counts
            graph.initializer.insert(0, dense(sparse, sparse.values.name))
        graph.ClearField("sparse_initializer")
    for node in parts.nodes(model):
        for attribute in node.attribute:
            _densify(attribute, node, dense)


def _stored(sparse: onnx.SparseTensorProto) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    """The values, a list, and the place of each: a number, or one for each axis.

    Raises: TypeError, ValueError: they are no such lists, or the shape is none.
    """
    if any(size < 0 for size in sparse.dims):
        raise ValueError(f"its shape is {list(sparse.dims)}")
    if len(sparse.values.dims) != 1:
        raise ValueError(f"its values are a tensor of {len(sparse.values.dims)} dimensions, not a list")
    count, rank = sparse.values.dims[0], len(sparse.dims)
    if [*sparse.indices.dims] not in ([count], [count, rank]):
        raise ValueError(f"its {count} values have places of shape {list(sparse.indices.dims)}")
    if sparse.indices.data_type not in _INDICES:
        raise ValueError("its places are no integers")
    dtype = ir.DataType(sparse.values.data_type)
    if dtype == ir.DataType.STRING or dtype.bitwidth < 8:
        raise ValueError(f"its values are {dtype}")
    values, places = (ir.serde.deserialize_tensor(each).numpy() for each in (sparse.values, sparse.indices))
    return values, places.astype(np.int64)


def _array(values: NDArray[np.generic], places: NDArray[np.int64], dims: tuple[int, ...]) -> NDArray[np.generic]:
    """The dense tensor, flat. Where a place is told twice, the last value counts, as it does in onnxruntime."""
    sizes = np.array(dims, np.int64) if places.ndim > 1 else prod(dims)
    outside = np.count_nonzero((places < 0) | (places >= sizes))
    if outside:
        raise ValueError(f"{outside} of its places are outside its shape {list(dims)}")
    if places.ndim > 1:
        places = places @ np.array([prod(dims[axis + 1 :]) for axis in range(len(dims))], np.int64)
    array = np.zeros(prod(dims), values.dtype)
    array[places] = values
    return array


def _densify(
    attribute: onnx.AttributeProto,
    node: onnx.NodeProto,
    dense: Callable[[onnx.SparseTensorProto, str], onnx.TensorProto],
) -> None:
    """Make an attribute that is sparse a dense one; that of a Constant gets the name that it then has."""
    name = attribute.sparse_tensor.values.name or (node.output[0] if node.output else attribute.name)
    if attribute.type == onnx.AttributeProto.SPARSE_TENSOR:
        attribute.t.CopyFrom(dense(attribute.sparse_tensor, name))
        attribute.ClearField("sparse_tensor")
        attribute.type = onnx.AttributeProto.TENSOR
        if node.op_type == "Constant" and attribute.name == "sparse_value":
            attribute.name = "value"
    elif attribute.type == onnx.AttributeProto.SPARSE_TENSORS:
        attribute.tensors.extend(dense(each, each.values.name) for each in attribute.sparse_tensors)
        attribute.ClearField("sparse_tensors")
        attribute.type = onnx.AttributeProto.TENSORS
