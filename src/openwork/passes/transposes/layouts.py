"""How operators follow when the axes of what they read are permuted.

A permutation p turns a tensor v into v' = transpose(v, p): axis i of v' is axis p[i] of v. An operator follows p if,
reading v', it can be made to write what it wrote before, permuted by p too: most often by naming other axes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from openwork.graph import Constants, constant, operator_of

Perm = tuple[int, ...]


def inverse(perm: Perm) -> Perm:
    """transpose(transpose(v, perm), inverse(perm)) = v"""
    return tuple(perm.index(axis) for axis in range(len(perm)))


def compose(first: Perm, second: Perm) -> Perm:
    """transpose(transpose(v, first), second) = transpose(v, compose(first, second))"""
    return tuple(first[axis] for axis in second)


@dataclass(frozen=True)
class Carried:
    """Which inputs and outputs of a node are permuted when it follows; others stay as they are."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def carried(node: ir.Node, perm: Perm) -> Carried | None:
    """What follows if `node` follows `perm`; None if it cannot."""
    rule = _RULES.get(operator_of(node))
    if rule is None or not _fits(node, rule.can, perm):
        return None
    inputs = range(len(node.inputs)) if rule.all_inputs else range(1)
    follow = tuple(index for index in inputs if (value := node.inputs[index]) is not None and _rank(value) != 0)
    outputs: tuple[int, ...] = tuple(range(len(node.outputs)))
    if operator_of(node) in _REDUCTIONS and not node.attributes.get_int("keepdims", 1):
        outputs = ()
        kept = [axis for axis in perm if axis not in _reduced(node, len(perm))]
        if kept != sorted(kept):
            return None
    for index in follow:
        value, rank = node.inputs[index], _rank(node.inputs[index])
        if rank is None or rank > len(perm) or (rank < len(perm) and constant(value) is None):
            return None
    if any(_rank(node.outputs[index]) != len(perm) for index in outputs):
        return None
    return Carried(follow, outputs)


def follow(node: ir.Node, perm: Perm, constants: Constants) -> None:
    """Change attributes and constants of a node that `carried` says can follow, for inputs that are permuted."""
    what = carried(node, perm)
    assert what is not None
    _RULES[operator_of(node)].change(node, perm, constants)
    for index in what.inputs:
        value = node.inputs[index]
        array = constant(value)
        if value is not None and array is not None:
            full = array.reshape((1,) * (len(perm) - array.ndim) + array.shape)
            constants.set_input(node, index, f"{value.name}/permuted", full.transpose(perm))


def _fits(node: ir.Node, can: Callable[[ir.Node], bool], perm: Perm) -> bool:
    first = node.inputs[0] if node.inputs else None
    return first is not None and (_rank(first) or 0) <= len(perm) and can(node)


def _rank(value: ir.Value | None) -> int | None:
    return None if value is None or value.shape is None or not value.shape.is_static() else len(value.shape)


# What each rule needs, and what it changes.


@dataclass(frozen=True)
class _Rule:
    can: Callable[[ir.Node], bool]
    change: Callable[[ir.Node, Perm, Constants], None]
    all_inputs: bool = False


def _always(node: ir.Node) -> bool:
    return True


def _leave(node: ir.Node, perm: Perm, constants: Constants) -> None:
    """Each element is computed by itself."""


def _change_axis(node: ir.Node, perm: Perm, constants: Constants) -> None:
    axis = node.attributes.get_int("axis", _DEFAULT_AXES[operator_of(node)])
    node.attributes["axis"] = ir.AttrInt64("axis", perm.index(axis % len(perm)))


def _change_channel_axis(node: ir.Node, perm: Perm, constants: Constants) -> None:
    """Of QuantizeLinear and DequantizeLinear, which have one only if they have many scales."""
    if _rank(node.inputs[1]):
        _change_axis(node, perm, constants)


def _per_tensor_or_channel(node: ir.Node) -> bool:
    return _rank(node.inputs[1]) in (0, 1) and not node.attributes.get_int("block_size")


def _has_constants(*indices: int) -> Callable[[ir.Node], bool]:
    """The inputs at `indices`, as far as they are present, are constant."""

    def can(node: ir.Node) -> bool:
        present = [node.inputs[index] for index in indices if index < len(node.inputs)]
        return all(value is None or constant(value) is not None for value in present)

    return can


def _numbers(node: ir.Node, index: int) -> list[int] | None:
    """The integers of a constant input; None if it is absent."""
    array = constant(node.inputs[index]) if index < len(node.inputs) else None
    return None if array is None else array.reshape(-1).tolist()


def _set_numbers(node: ir.Node, index: int, numbers: Sequence[float], name: str, constants: Constants) -> None:
    value = node.inputs[index] if index < len(node.inputs) else None
    old = constant(value)
    dtype = np.dtype(np.int64) if old is None else old.dtype
    constants.set_input(node, index, f"{node.name}/{name}", np.asarray(numbers, dtype))


def _can_pad(node: ir.Node) -> bool:
    return len(node.inputs) > 1 and constant(node.inputs[1]) is not None and _numbers(node, 3) is None


def _change_pads(node: ir.Node, perm: Perm, constants: Constants) -> None:
    pads, rank = _numbers(node, 1) or [], len(perm)
    _set_numbers(node, 1, [*(pads[axis] for axis in perm), *(pads[rank + axis] for axis in perm)], "pads", constants)


def _change_slice(node: ir.Node, perm: Perm, constants: Constants) -> None:
    axes = _numbers(node, 3) or range(len(_numbers(node, 1) or []))
    _set_numbers(node, 3, [perm.index(axis % len(perm)) for axis in axes], "axes", constants)


def _change_reduced(node: ir.Node, perm: Perm, constants: Constants) -> None:
    axes = [perm.index(axis) for axis in _reduced(node, len(perm))]
    if "axes" in node.attributes:  # before opset 18
        node.attributes["axes"] = ir.AttrInt64s("axes", axes)
    elif _numbers(node, 1):
        _set_numbers(node, 1, axes, "axes", constants)


def _reduced(node: ir.Node, rank: int) -> list[int]:
    given = node.attributes.get_ints("axes", []) or _numbers(node, 1) or []
    if not given and node.attributes.get_int("noop_with_empty_axes"):
        return []
    return sorted({axis % rank for axis in given}) or [*range(rank)]


def _can_resize(node: ir.Node) -> bool:
    """Its region of interest is used by one mode only, and absent otherwise; axes are all of them."""
    return "axes" not in node.attributes and not _numbers(node, 1) and _has_constants(2, 3)(node)


def _change_sizes(node: ir.Node, perm: Perm, constants: Constants) -> None:
    for index, name in ((2, "scales"), (3, "sizes")):
        numbers = _numbers(node, index)
        if numbers:
            _set_numbers(node, index, [numbers[axis] for axis in perm], name, constants)


_DEFAULT_AXES = {
    "Concat": 0,  # never left out
    "DequantizeLinear": 1,
    "LogSoftmax": -1,
    "LpNormalization": -1,
    "QuantizeLinear": 1,
    "Softmax": -1,
    "Split": 0,
}

_UNARY = (
    "Abs",
    "Cast",
    "Ceil",
    "Clip",
    "Cos",
    "Elu",
    "Erf",
    "Exp",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LeakyRelu",
    "Log",
    "Mish",
    "Neg",
    "Not",
    "Reciprocal",
    "Relu",
    "Round",
    "Selu",
    "Sigmoid",
    "Sign",
    "Sin",
    "Softplus",
    "Softsign",
    "Sqrt",
    "Tanh",
    "ThresholdedRelu",
)

_BROADCASTING = (
    "Add",
    "And",
    "Div",
    "Equal",
    "Greater",
    "GreaterOrEqual",
    "Less",
    "LessOrEqual",
    "Max",
    "Mean",
    "Min",
    "Mod",
    "Mul",
    "Or",
    "PRelu",
    "Pow",
    "Sub",
    "Sum",
    "Where",
    "Xor",
)

_REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)

_RULES: Mapping[str, _Rule] = {
    **{name: _Rule(_always, _leave) for name in _UNARY},
    **{name: _Rule(_always, _leave, all_inputs=True) for name in _BROADCASTING},
    **{name: _Rule(_has_constants(1), _change_reduced) for name in _REDUCTIONS},
    **{name: _Rule(_always, _change_axis) for name in ("LogSoftmax", "LpNormalization", "Softmax", "Split")},
    "Concat": _Rule(_always, _change_axis, all_inputs=True),
    "DequantizeLinear": _Rule(_per_tensor_or_channel, _change_channel_axis),
    "Pad": _Rule(_can_pad, _change_pads),
    "QuantizeLinear": _Rule(_per_tensor_or_channel, _change_channel_axis),
    "Resize": _Rule(_can_resize, _change_sizes),
    "Slice": _Rule(_has_constants(1, 2, 3, 4), _change_slice),
}
