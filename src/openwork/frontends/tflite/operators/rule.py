"""What a rule is: how one operator of TFLite becomes nodes of ONNX.

A rule reads the operator's tensors from the draft, emits nodes, and writes every output. It raises `Unsupported` with
the reason where it cannot.
"""

from collections.abc import Callable

import onnx_ir as ir
import tflite

from openwork.frontends.tflite.draft import Draft, Unsupported
from openwork.frontends.tflite.network import Operator

Rule = Callable[[Operator, Draft], None]

# As fused activation functions of the schema: the bounds of a Clip.
_BOUNDS = {
    tflite.ActivationFunctionType.RELU_N1_TO_1: (-1.0, 1.0),
    tflite.ActivationFunctionType.RELU6: (0.0, 6.0),
}


def activated(op: Operator, draft: Draft, value: ir.Value) -> ir.Value:
    """The value behind the operator's fused activation function."""
    function = op.option("FusedActivationFunction", tflite.ActivationFunctionType.NONE)
    if function == tflite.ActivationFunctionType.NONE:
        return value
    if function == tflite.ActivationFunctionType.RELU:
        return draft.emit("Relu", value)
    if function == tflite.ActivationFunctionType.TANH:
        return draft.emit("Tanh", value)
    if function in _BOUNDS:
        return clipped(draft, value, *_BOUNDS[function])
    raise Unsupported(f"fused activation function {function}")


def clipped(draft: Draft, value: ir.Value, low: float, high: float) -> ir.Value:
    return draft.emit("Clip", value, draft.scalar(low), draft.scalar(high))


def moves_stored(op: Operator, draft: Draft, *inputs: int) -> bool:
    """Whether an operator that only moves elements can move them as stored: all tensors have the same scale."""
    tensors = [draft.tensor(op, index) for index in inputs]
    return all(tensor.same_numbers(draft.result(op, index)) for tensor in tensors for index in range(len(op.outputs)))


def read(op: Operator, draft: Draft, index: int, stored: bool) -> ir.Value:
    return draft.stored(op, index) if stored else draft.real(op, index)


def axis_of(number: int, rank: int) -> int:
    """An axis counted from the front.

    Raises: Unsupported: there is no such axis.
    """
    if not -rank <= number < rank:
        raise Unsupported(f"it names axis {number} of {rank}")
    return number % rank
