"""Weights that come apart from their model."""

from pathlib import Path

import numpy as np
import onnx_ir as ir

from openwork.errors import DataError
from openwork.frontends.arrays import read_archive


def replace_weights(model: ir.Model, path: Path) -> None:
    """Replace weights of a model, in place, by the arrays of an .npz file of the same names.

    Raises: DataError: the file cannot be read, names what is no weight, or an array has another shape, kind of
        numbers, or values that are not finite.
    """
    weights = model.graph.initializers
    tensors = {name: value.const_value for name, value in weights.items() if value.const_value is not None}
    for name, array in read_archive(
        path, {name: tuple(tensor.shape.numpy()) for name, tensor in tensors.items()}
    ).items():
        old = tensors[name].numpy()
        if array.dtype.kind != old.dtype.kind:
            raise DataError(
                f"{path}: array {name!r} is {array.dtype}{list(array.shape)}, the weight is"
                f" {old.dtype}{list(old.shape)}; save it alike"
            )
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise DataError(f"{path}: array {name!r} holds NaN or infinity; correct the weights")
        weights[name].const_value = ir.tensor(array.astype(old.dtype, copy=False), name=name)
