"""The outputs of one node from constants, within limits."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray

from openwork.guarded.process import RefusedError, ask, told_as

Array = NDArray[np.generic]

# These are a NumPy call or two, so they are computed here where sizes are known: weights need not travel.
_SIMPLE = frozenset(
    (
        *("Add", "Cast", "Concat", "Div", "Expand", "Flatten", "Gather", "Mul", "Neg", "QuantizeLinear", "Reciprocal"),
        *("Reshape", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
    )
)


def compute(
    subject: str,
    node: onnx.NodeProto,
    arrays: Sequence[Array],
    versions: Mapping[str, int],
    *,
    most: int,
    sized: bool = False,
) -> list[Array]:
    """The outputs of a node that have names, by onnx's reference operators.

    Args:
        subject: the node, in front of an error.
        arrays: of its inputs that have names.
        versions: of the operator sets, by domain.
        most: elements that its results may have.
        sized: whether the caller knows that they have no more.
    Raises: RefusedError: its operator cannot be computed, or not of these inputs. ModelError: it goes beyond limits
        of time or memory.
    """
    if sized and not node.domain and node.op_type in _SIMPLE:
        return _here(node, arrays, versions)
    inputs = [onnx.numpy_helper.from_array(np.asarray(array)).SerializeToString() for array in arrays]
    with told_as(subject, "reference operator"):
        results = ask(("compute", sys.path, node.SerializeToString(), inputs, dict(versions), most))
    return [onnx.numpy_helper.to_array(onnx.TensorProto.FromString(each)) for each in results]


def _here(node: onnx.NodeProto, arrays: Sequence[Array], versions: Mapping[str, int]) -> list[Array]:
    from openwork.guarded.reference import compute_here  # a tenth of a second, which most models do without

    try:
        with np.errstate(all="ignore"):
            return compute_here(node, list(arrays), dict(versions))
    except Exception as error:  # reference operators have no exceptions of their own
        raise RefusedError(str(error) or type(error).__name__) from error
