"""Which tensors of a quantized network are coded in integers, and what they are called in the float one."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from openwork.graph import QuantParams, constant, operator_of


@dataclass(frozen=True)
class Coded:
    """An activation between QuantizeLinear and DequantizeLinear.

    name: of the tensor in the float network. source: what is quantized. integers: the result.
    dequantized: what comes out of the first DequantizeLinear.
    """

    name: str
    source: str
    integers: str
    dequantized: str
    params: QuantParams


def coded_tensors(model: ir.Model, quantized: ir.Model) -> Iterator[Coded]:
    """Each activation that is coded per tensor, in the quantized model's order; one may be coded twice.

    A tensor `t` of the float model is either quantized under its own name, or is what DequantizeLinear gives back
    (an output of the graph, of which the source is called otherwise).
    """
    floats = {value.name for value in model.graph.inputs} | {v.name for node in model.graph for v in node.outputs}
    for node in quantized.graph:
        source = node.inputs[0] if operator_of(node) == "QuantizeLinear" else None
        if source is None or constant(source) is not None:
            continue
        back = next((use.node for use in node.outputs[0].uses() if operator_of(use.node) == "DequantizeLinear"), None)
        params = _params(node)
        if back is None or params is None:
            continue
        names = [str(back.outputs[0].name), str(source.name)]
        name = next((name for name in names if name in floats), None)
        if name is not None:
            yield Coded(name, str(source.name), str(node.outputs[0].name), names[0], params)


def _params(node: ir.Node) -> QuantParams | None:
    """Of a QuantizeLinear, if its scale is constant and one for the whole tensor."""
    scale = constant(node.inputs[1])
    zero_point = constant(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1, np.uint8)
    integers = node.outputs[0].dtype
    if scale is None or zero_point is None or scale.size != 1 or integers is None:
        return None
    return QuantParams(
        scale.reshape(1).astype(np.float32),
        zero_point.reshape(1).astype(np.int32),
        bits=integers.bitwidth,
        signed=integers.is_signed(),
    )
