"""What became of each layer: bits, scales and zeros, read from the quantized graph itself."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import constant, count, operator_of, weight_of
from openwork.sparsity import Pattern


@dataclass(frozen=True)
class QuantizedLayer:
    """A Conv, Gemm or MatMul of a quantized graph.

    activation: integer type of its input, `uint8`, `int16`, ...; `float32` where it computes in floats.
    weight: integer type of its weight; None where both operands are activations.
    activation_scale: of its input; None in floats.
    weight_scales: smallest and largest; None in floats and without weight.
    pattern: of the zeros in its weight, see `find_pattern`.
    zeros_kept: whether every weight that was zero in the float graph still is.
    """

    name: str
    operator: str
    activation: str
    weight: str | None
    activation_scale: float | None
    weight_scales: tuple[float, float] | None
    pattern: Pattern | None
    zeros_kept: bool


def quantized_layers(quantized: ir.Model, floats: ir.Model) -> tuple[QuantizedLayer, ...]:
    """Every layer of a quantized model, in graph order.

    Args: floats: the model it was made of, canonicalised.
    """
    before = {node.name: node for node in floats.graph}
    patterns = {layer.name: layer.pattern for layer in count(quantized)}
    layers = []
    for node in quantized.graph:
        if operator_of(node) not in ("Conv", "Gemm", "MatMul"):
            continue
        activation, weight = map(_dequantize, _operands(node))
        stored = weight_of(node)
        if activation is None or weight is None:
            activation = weight = None
        layers.append(
            QuantizedLayer(
                name=str(node.name),
                operator=operator_of(node),
                activation=_integer_type(activation),
                weight=None if stored is None else _integer_type(weight),
                activation_scale=None if activation is None else _scales(activation)[0],
                weight_scales=None if weight is None or stored is None else _scales(weight),
                pattern=patterns.get(str(node.name)),
                zeros_kept=_keeps_zeros(before.get(node.name), stored),
            )
        )
    return tuple(layers)


def _operands(node: ir.Node) -> tuple[ir.Value | None, ir.Value | None]:
    """The activation, then the weight, which a MatMul may have first."""
    first, second = node.inputs[:2]
    dequantize = _dequantize(first)
    weight_first = constant(first if dequantize is None else dequantize.inputs[0]) is not None
    return (second, first) if weight_first else (first, second)


def _dequantize(value: ir.Value | None) -> ir.Node | None:
    """The DequantizeLinear that a value comes out of."""
    producer = None if value is None else value.producer()
    return producer if producer is not None and operator_of(producer) == "DequantizeLinear" else None


def _integer_type(dequantize: ir.Node | None) -> str:
    integers = None if dequantize is None else dequantize.inputs[0]
    return "float32" if integers is None or integers.dtype is None else integers.dtype.name.lower()


def _scales(dequantize: ir.Node) -> tuple[float, float]:
    scales = constant(dequantize.inputs[1])
    assert scales is not None
    return float(scales.min()), float(scales.max())


def _keeps_zeros(before: ir.Node | None, stored: NDArray[np.generic] | None) -> bool:
    weight = None if before is None else weight_of(before)
    return weight is None or stored is None or not stored[weight == 0].any()
