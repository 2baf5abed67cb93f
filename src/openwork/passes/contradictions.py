"""What contradicts itself in a node, though ONNX's shape inference lets it pass."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from openwork.graph import constant, operator_of

# Of each input; None where there is none or its shape is open.
Shapes = Sequence[Sequence[int] | None]


def contradiction(node: ir.Node) -> str | None:
    """Why a node does not fit its inputs, whose shapes are static; None if nothing speaks against it.

    Passes and lowering rely on what is asked here: channels that fit the weight, scales that fit their axis, a number
    for each channel, permutations that are some.
    """
    rule = _RULES.get(operator_of(node))
    if rule is None:
        return None
    shapes = [None if value is None or value.shape is None else value.shape.numpy() for value in node.inputs]
    return rule(node, shapes)


def _conv(node: ir.Node, shapes: Shapes) -> str | None:
    x, weight = shapes[0], shapes[1]
    if not x or not weight or len(x) < 2 or len(weight) < 2:
        return None
    given, taken = x[1], weight[1] * node.attributes.get_int("group", 1)
    return None if given == taken else f"its weight takes {taken} channels, its input has {given}"


def _quantization(node: ir.Node, shapes: Shapes) -> str | None:
    x, scale = shapes[0] or (), shapes[1] or ()
    axis = node.attributes.get_int("axis", 1)
    if len(scale) == 1 and scale[0] != 1 and not (-len(x) <= axis < len(x) and x[axis] == scale[0]):
        return f"it has {scale[0]} scales along axis {axis} of {list(x)}"
    return None


def _transpose(node: ir.Node, shapes: Shapes) -> str | None:
    rank = None if shapes[0] is None else len(shapes[0])
    perm = node.attributes.get_ints("perm")
    if perm is None or rank is None or sorted(perm) == list(range(rank)):
        return None
    return f"perm {list(perm)} is no order of the {rank} axes of its input"


def _batch_normalization(node: ir.Node, shapes: Shapes) -> str | None:
    variance = constant(node.inputs[4])
    if variance is not None:
        least = float(np.min(variance.astype(np.float64), initial=np.inf)) + node.attributes.get_float("epsilon", 1e-5)
        if not least > 0:
            return f"a variance and epsilon add up to {least:g}, and it divides by the root of that"
    return _per_channel(node, shapes)


def _per_channel(node: ir.Node, shapes: Shapes) -> str | None:
    """Parameters behind the first input have a number for each channel of it."""
    x = shapes[0]
    if x is None:
        return None
    channels = x[1] if len(x) > 1 else 1
    for value, shape in zip(node.inputs[1:], shapes[1:], strict=True):
        if value is not None and shape is not None and list(shape) != [channels]:
            return f"{value.name!r} has the shape {list(shape)}, and its input has {channels} channels"
    return None


_RULES: Mapping[str, Callable[[ir.Node, Shapes], str | None]] = {
    "BatchNormalization": _batch_normalization,
    "Conv": _conv,
    "DequantizeLinear": _quantization,
    "InstanceNormalization": _per_channel,
    "QuantizeLinear": _quantization,
    "Transpose": _transpose,
}
