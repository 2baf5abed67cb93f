"""Operators on integers become float operators between DequantizeLinear and QuantizeLinear."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import OLDEST_OPSET, Constants, constant
from openwork.passes.name_nodes import name_nodes


def expand_qoperators(model: ir.Model) -> bool:
    """Write QLinearConv and its like, as onnxruntime's QOperator format has them, in the Q/DQ format.

        before: y_q = QLinearConv(x_q, ..., w_q, ..., b_q)
        after:  y_q = QuantizeLinear(Conv(DequantizeLinear(x_q), DequantizeLinear(w_q), DequantizeLinear(b_q)))

        before: y int32 = ConvInteger(x_q, w_q, ...)
        after:  y int32 = Cast(Conv(DequantizeLinear(x_q), DequantizeLinear(w_q)))        with scale 1

    The first form means the same by ONNX's definition. The second is exact because every partial sum is an integer
    below 2^24, which float32 holds; where the weights do not prove that, it becomes a sum of several, of a part of the
    channels each.

    Requires: opset 13.
    Ensures: no such operator is left, save with channels last, with scales that are not constant where a bias needs
        them, without a zero point for its result, or with integer weights that are not constant or of which one
        channel alone reaches 2^24.
    """
    changed, constants = False, Constants(model.graph)
    for node in list(model.graph):
        rule = _RULES.get((node.domain.removeprefix("ai.onnx"), node.op_type))
        if rule is None or ("channels_last" in node.attributes and node.attributes["channels_last"].value):
            continue
        work, output = _Expansion(node, constants), node.outputs[0]
        try:
            result = rule(work)
        except (_Stays, TypeError, ValueError):  # of another domain than ONNX's, whose nodes nobody has checked
            continue
        result.name, result.type, result.shape = output.name, output.type, output.shape
        ir.convenience.replace_nodes_and_values(model.graph, node, [node], work.nodes, [output], [result])
        changed = True
    if changed:
        name_nodes(model)
    return changed


class _Stays(Exception):  # noqa: N818 - a decision, which never leaves this file
    """The node cannot be written in the other form."""


@dataclass
class _Expansion:
    """What takes the place of one node; `nodes` grows."""

    node: ir.Node
    constants: Constants
    nodes: list[ir.Node] = field(default_factory=list)

    def input(self, index: int) -> ir.Value | None:
        return self.node.inputs[index] if index < len(self.node.inputs) else None

    def add(self, operator: str, inputs: Sequence[ir.Value | None], **attributes: object) -> ir.Value:
        node = ir.node(operator, inputs, attributes, name=f"{self.node.name or ''}/{operator}")  # type: ignore[arg-type]
        self.nodes.append(node)
        return node.outputs[0]

    def work(self, operator: str, inputs: Sequence[ir.Value | None]) -> ir.Value:
        """The float operator, with the attributes that it shares with the one on integers."""
        attributes = {name: value for name, value in self.node.attributes.items() if name not in _OWN_ATTRIBUTES}
        node = ir.Node("", operator, inputs, attributes.values(), name=self.node.name)
        self.nodes.append(node)
        return node.outputs[0]

    def constant(self, array: NDArray[np.generic], name: str) -> ir.Value:
        return self.constants.add(name, array)

    def reals(self, index: int, axis: int = 0) -> ir.Value:
        """Of the integers at `index`, whose scale and zero point follow; scales per channel lie along `axis`."""
        integers, scale, zero_point = (self.input(each) for each in (index, index + 1, index + 2))
        if integers is None or scale is None:
            raise _Stays
        return self.dequantize(integers, scale, zero_point, axis)

    def dequantize(self, integers: ir.Value, scale: ir.Value, zero_point: ir.Value | None, axis: int) -> ir.Value:
        inputs = [integers, scale] if zero_point is None else [integers, scale, zero_point]
        along = {"axis": axis} if scale.shape is not None and scale.shape.numpy() not in ((), (1,)) else {}
        return self.add("DequantizeLinear", inputs, **along)

    def bias(self, index: int) -> ir.Value | None:
        """The reals of an optional int32 bias, in units of (first scale * second scale * alpha).

        Raises: _Stays: a scale is not constant.
        """
        integers, one, other = self.input(index), constant(self.input(1)), constant(self.input(4))
        if integers is None:
            return None
        if one is None or other is None:
            raise _Stays
        alpha = np.float32(self.node.attributes.get_float("alpha", 1.0))
        scale = alpha * one.astype(np.float32) * other.astype(np.float32)
        return self.dequantize(integers, self.constant(scale, f"{integers.name}_scale"), None, axis=0)

    def integers(self, real: ir.Value, index: int) -> ir.Value:
        """Of `real`, with scale and zero point at `index`. Raises: _Stays: no zero point tells their type."""
        scale, zero_point = self.input(index), self.input(index + 1)
        if scale is None or zero_point is None:
            raise _Stays
        return self.add("QuantizeLinear", [real, scale, zero_point])


_Rule = Callable[[_Expansion], ir.Value]

# Attributes that float operators do not have.
_OWN_ATTRIBUTES = ("channels_last", "opset")


def _conv(work: _Expansion) -> ir.Value:
    return work.integers(work.work("Conv", [work.reals(0), work.reals(3), work.bias(8)]), 6)


def _matmul(work: _Expansion) -> ir.Value:
    return work.integers(work.work("MatMul", [work.reals(0, axis=-2), work.reals(3, axis=-1)]), 6)


def _gemm(work: _Expansion) -> ir.Value:
    columns = 0 if work.node.attributes.get_int("transB", 0) else 1
    y = work.work("Gemm", [work.reals(0), work.reals(3, axis=columns), work.bias(6)])
    return y if work.input(7) is None else work.integers(y, 7)


def _binary(operator: str) -> _Rule:
    return lambda work: work.integers(work.work(operator, [work.reals(0), work.reals(3)]), 6)


def _unary(operator: str) -> _Rule:
    return lambda work: work.integers(work.work(operator, [work.reals(0)]), 3)


def _concat(work: _Expansion) -> ir.Value:
    parts = [work.reals(index) for index in range(2, len(work.node.inputs), 3)]
    return work.integers(work.work("Concat", parts), 0)


def _softmax(work: _Expansion) -> ir.Value:
    """Before opset 13, which an attribute tells, all dimensions from the axis on are one."""
    axis, x = work.node.attributes.get_int("axis", -1), work.reals(0)
    if axis == -1 or work.node.attributes.get_int("opset", 13) >= 13:
        return work.integers(work.add("Softmax", [x], axis=axis), 3)
    joined = work.add("Softmax", [work.add("Flatten", [x], axis=axis)], axis=-1)
    return work.integers(work.add("Reshape", [joined, work.add("Shape", [x])]), 3)


def _conv_integer(work: _Expansion) -> ir.Value:
    return _integer(work, "Conv", x_axis=0, w_axis=0, joined=1)


def _matmul_integer(work: _Expansion) -> ir.Value:
    return _integer(work, "MatMul", x_axis=-2, w_axis=-1, joined=-2)


def _integer(work: _Expansion, operator: str, x_axis: int, w_axis: int, joined: int) -> ir.Value:
    """Sums of products of integers, as floats, added as int32. joined: the weight's axis of input channels."""
    integers, weight, weight_zero = work.input(1), constant(work.input(1)), constant(work.input(3))
    if integers is None or weight is None or weight.ndim < 2 or (weight_zero is None and work.input(3) is not None):
        raise _Stays
    parts = _parts(_magnitudes(weight, weight_zero, w_axis, joined), _farthest(constant(work.input(2))))
    if len(parts) > 1 and work.node.attributes.get_int("group", 1) > 1:
        raise _Stays
    x, total = _offset(work, work.input(0), work.input(2), x_axis), None
    for part in parts:
        x_part, w_part = x, integers
        if len(parts) > 1:
            axis = 1 if operator == "Conv" else -1
            ends = [work.constant(np.array([at]), f"{integers.name}_part") for at in (part.start, part.stop, axis)]
            x_part = work.add("Slice", [x, *ends])
            w_part = work.constant(np.take(weight, part, joined), f"{integers.name}_part")
        product = work.work(operator, [x_part, _offset(work, w_part, work.input(3), w_axis)])
        whole = work.add("Cast", [product], to=ir.DataType.INT32)
        total = whole if total is None else work.add("Add", [total, whole])
    assert total is not None
    return total


def _offset(work: _Expansion, integers: ir.Value | None, zero_point: ir.Value | None, axis: int) -> ir.Value:
    """Integers less their zero point, as floats."""
    if integers is None:
        raise _Stays
    array = constant(zero_point)
    ones = work.constant(np.ones(() if array is None else array.shape, np.float32), "one")
    return work.dequantize(integers, ones, zero_point, axis)


def _magnitudes(
    weight: NDArray[np.generic], zero_point: NDArray[np.generic] | None, axis: int, joined: int
) -> NDArray[np.int64]:
    """int64[input channels, sums]: of all that a channel adds to each sum, where activations are 1."""
    real = weight.astype(np.int64)
    if zero_point is not None:
        channels = [1] * weight.ndim
        channels[axis] = -1
        real -= zero_point.astype(np.int64).reshape(channels if zero_point.size > 1 else ())
    if joined == 1:  # of a convolution: pixels of the kernel belong to one sum
        real = np.abs(real).reshape(*weight.shape[:2], -1).sum(axis=-1)
    return np.abs(np.moveaxis(real, joined, 0).reshape(weight.shape[joined], -1))


def _parts(magnitudes: NDArray[np.int64], farthest: int) -> list[range]:
    """As few runs of input channels as there must be, so that no partial sum reaches 2^24, whatever the activations.

    Raises: _Stays: one channel alone does.
    """
    parts, start, largest = [], 0, np.zeros_like(magnitudes[0])
    for channel, row in enumerate(magnitudes * farthest):
        if row.max(initial=0) >= 2**24:
            raise _Stays
        if (largest + row).max(initial=0) >= 2**24:
            parts.append(range(start, channel))
            start, largest = channel, np.zeros_like(row)
        largest = largest + row
    return [*parts, range(start, len(magnitudes))]


def _farthest(zero_point: NDArray[np.generic] | None) -> int:
    """The largest distance of a byte from its zero point, which may be unknown."""
    if zero_point is None:
        return 255
    low, high = (-128, 127) if zero_point.dtype == np.int8 else (0, 255)
    return max(high - int(zero_point.min(initial=high)), int(zero_point.max(initial=low)) - low)


def _quantize(work: _Expansion) -> ir.Value:
    """onnxruntime's own of what ONNX has too. Raises: _Stays: its opset has no such integers."""
    if not _has_integers(work, work.input(2)):
        raise _Stays
    return work.work("QuantizeLinear", list(work.node.inputs))


def _dequantize(work: _Expansion) -> ir.Value:
    """The same; constants that the opset has no integers for become floats.

    Raises: _Stays: the opset has none, and they are not constant.
    """
    if _has_integers(work, work.input(0)):
        return work.work("DequantizeLinear", list(work.node.inputs))
    integers, scale, zero_point = (constant(work.input(index)) for index in range(3))
    if integers is None or scale is None or scale.ndim > 1 or (zero_point is None and work.input(2) is not None):
        raise _Stays
    along = [1] * integers.ndim
    if scale.size > 1:
        along[work.node.attributes.get_int("axis", 1) % integers.ndim] = -1
    offset = 0 if zero_point is None else zero_point.astype(np.int32).reshape(along)
    reals = (integers.astype(np.int32) - offset).astype(np.float32) * scale.astype(np.float32).reshape(along)
    return work.add("Identity", [work.constant(reals, f"{work.node.name or ''}_reals")])


def _has_integers(work: _Expansion, integers: ir.Value | None) -> bool:
    """Those of 4 and 16 bits came to ONNX with opset 21."""
    dtype = None if integers is None else integers.dtype or (integers.const_value and integers.const_value.dtype)
    known = (None, ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT32)
    return dtype in known or work.constants.graph.opset_imports.get("", OLDEST_OPSET) >= 21


_CONTRIBUTED: Mapping[str, _Rule] = {
    "DequantizeLinear": _dequantize,
    "QGemm": _gemm,
    "QLinearAdd": _binary("Add"),
    "QLinearAveragePool": _unary("AveragePool"),
    "QLinearConcat": _concat,
    "QLinearConv": _conv,
    "QLinearGlobalAveragePool": _unary("GlobalAveragePool"),
    "QLinearLeakyRelu": _unary("LeakyRelu"),
    "QLinearMul": _binary("Mul"),
    "QLinearSigmoid": _unary("Sigmoid"),
    "QLinearSoftmax": _softmax,
    "QuantizeLinear": _quantize,
}

_STANDARD: Mapping[str, _Rule] = {
    "ConvInteger": _conv_integer,
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _conv,
    "QLinearMatMul": _matmul,
}

# By domain and name.
_RULES: Mapping[tuple[str, str], _Rule] = {
    **{("com.microsoft", name): rule for name, rule in _CONTRIBUTED.items()},
    **{("", name): rule for name, rule in _STANDARD.items()},
}

# The operators that are written anew, with their domain in front unless it is ONNX's own.
QOPERATORS = tuple(f"{domain}::{name}" if domain else name for domain, name in _RULES)
