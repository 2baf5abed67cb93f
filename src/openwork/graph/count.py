"""Multiply-accumulates, weights and zeros of each layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import ModelError
from openwork.graph.model import constant, operator_of, static_shape
from openwork.sparsity import Pattern, find_pattern

_MULTIPLY = ("Attention", "Conv", "ConvTranspose", "Gemm", "MatMul")


@dataclass(frozen=True)
class LayerCount:
    """What one operator that multiplies costs: Conv, ConvTranspose, Gemm, MatMul or Attention.

    weight_shape: as stored in the graph; () where both operands are activations.
    macs: multiply-accumulates with every weight; a kernel that reaches into the padding counts in full.
    effective_macs: multiply-accumulates with nonzero weights only.
    weights, nonzeros: how many weights there are, and how many are not zero; 0 without a constant weight.
    pattern: what `find_pattern` sees in the zeros; None for a dense weight, or none.
    """

    name: str
    operator: str
    weight_shape: tuple[int, ...]
    macs: int
    effective_macs: int
    weights: int
    nonzeros: int
    pattern: Pattern | None

    @property
    def sparsity(self) -> float:
        """Fraction of weights that are zero; 0 without weights."""
        return 1 - self.nonzeros / self.weights if self.weights else 0.0


def count(model: ir.Model) -> tuple[LayerCount, ...]:
    """Count every operator that multiplies, in graph order, float or behind QuantizeLinear/DequantizeLinear.

    All other operators count as nothing.

    Raises: ModelError: a shape is not static, or has a size below 1.
    """
    return tuple(map(_count_layer, _layers(model)))


def count_known(model: ir.Model) -> tuple[LayerCount, ...]:
    """`count`, without what has no static shape, in a model that cannot be compiled."""
    return tuple(_count_layer(node) for node in _layers(model) if all(map(_has_sizes, (*node.inputs, node.outputs[0]))))


def _layers(model: ir.Model) -> list[ir.Node]:
    return [node for node in model.graph if operator_of(node) in _MULTIPLY]


def _has_sizes(value: ir.Value | None) -> bool:
    return value is None or (
        value.shape is not None and value.shape.is_static() and min(value.shape.numpy(), default=1) > 0
    )


def total(layers: Sequence[LayerCount]) -> LayerCount:
    """All layers together: the sums of their figures."""
    return LayerCount(
        name="total",
        operator="",
        weight_shape=(),
        macs=sum(layer.macs for layer in layers),
        effective_macs=sum(layer.effective_macs for layer in layers),
        weights=sum(layer.weights for layer in layers),
        nonzeros=sum(layer.nonzeros for layer in layers),
        pattern=None,
    )


def metadata(model: ir.Model) -> dict[str, str]:
    """The total of a model, as an ONNX file tells it to viewers such as Netron."""
    sums = total(count(model))
    figures = {key: str(getattr(sums, key)) for key in ("macs", "effective_macs", "weights", "nonzeros")}
    return {f"openwork.{key}": text for key, text in {**figures, "sparsity": f"{sums.sparsity:.4f}"}.items()}


def weight_of(node: ir.Node) -> NDArray[np.generic] | None:
    """The constant weight of an operator that multiplies, with zeros exactly where the real weight is zero.

    Returns: the floats; or, behind a DequantizeLinear, int32 integer - zero_point; None without a constant.
    """
    operands = {"Attention": (), "Conv": (1,), "ConvTranspose": (1,)}
    for index in operands.get(operator_of(node), (1, 0)):
        weight = _real_zeros(node.inputs[index])
        if weight is not None:
            return weight
    return None


def _real_zeros(value: ir.Value | None) -> NDArray[np.generic] | None:
    dequantize = value.producer() if value is not None else None
    if dequantize is None or operator_of(dequantize) != "DequantizeLinear":
        return constant(value)
    integers = constant(dequantize.inputs[0])
    if integers is None or len(dequantize.inputs) < 3:
        return integers
    zero_point = constant(dequantize.inputs[2])
    if zero_point is None:
        return integers
    if zero_point.ndim == 1 and zero_point.size > 1:
        axis = dequantize.attributes.get_int("axis", 1)
        if not -integers.ndim <= axis < integers.ndim or integers.shape[axis] != zero_point.size:
            return integers  # a contradiction, which whoever infers shapes tells
        zero_point = zero_point.reshape([-1 if i == axis % integers.ndim else 1 for i in range(integers.ndim)])
    return np.subtract(integers, zero_point, dtype=np.int32)


def _count_layer(node: ir.Node) -> LayerCount:
    weight = weight_of(node)
    weights = 0 if weight is None else weight.size
    nonzeros = 0 if weight is None else int(np.count_nonzero(weight))
    macs = _macs(node)
    return LayerCount(
        name=node.name or "",
        operator=operator_of(node),
        weight_shape=() if weight is None else weight.shape,
        macs=macs,
        # Exact: each weight is used equally often, once per output position (padding included) and image.
        effective_macs=macs * nonzeros // weights if weights else macs,
        weights=weights,
        nonzeros=nonzeros,
        pattern=_pattern(node, weight),
    )


def _pattern(node: ir.Node, weight: NDArray[np.generic] | None) -> Pattern | None:
    """Patterns are about [out, in]; MatMul, and Gemm unless told, have weights that lie as [in, out], and ConvTranspose
    has [in, out / groups, ...]."""
    if weight is None or weight.ndim < 2 or not weight.size:
        return None
    if operator_of(node) == "MatMul" or (operator_of(node) == "Gemm" and not node.attributes.get_int("transB", 0)):
        weight = np.swapaxes(weight, -1, -2)
    if operator_of(node) == "ConvTranspose":
        groups = node.attributes.get_int("group", 1)
        by_group = weight.reshape(groups, len(weight) // groups, *weight.shape[1:]).swapaxes(1, 2)
        weight = by_group.reshape(-1, *by_group.shape[2:])
    return find_pattern(weight).pattern


def _macs(node: ir.Node) -> int:
    first, second = node.inputs[0], node.inputs[1]
    assert first is not None and second is not None
    x, w, y = shapes = static_shape(first), static_shape(second), static_shape(node.outputs[0])
    if 0 in (size for shape in shapes for size in shape):
        raise ModelError(f"node {node.name!r} ({operator_of(node)}): a size of {shapes} is zero; give larger shapes")
    match operator_of(node):
        case "Attention":
            return _attention_macs(node, x, y)
        case "Conv":
            return prod(y) * prod(w[1:])
        case "ConvTranspose":
            return prod(x) * prod(w[1:])  # each input element meets each of its channel's weights
        case "Gemm" if node.attributes.get_int("transA", 0):
            return prod(y) * x[0]
        case _:
            return prod(y) * x[-1]


def _attention_macs(node: ir.Node, query: tuple[int, ...], y: tuple[int, ...]) -> int:
    """Queries by keys, and their weights by values; what is masked counts in full."""
    key, past = (node.inputs[index] if index < len(node.inputs) else None for index in (1, 4))
    keys = sum(static_shape(value)[-2] for value in (key, past) if value is not None)
    return (prod(query) + prod(y)) * keys
