"""How far the outputs of a model move when each of its results is a little off: measured by onnxruntime.

It runs a copy of the model in which noise is added to tensors: to the results of a network in floats as much as
rounding makes of them, to those of each DequantizeLinear half a step either way, which is what quantizing them cost,
activations and weights alike. What the network makes of that is how far another that means the same may be off.
"""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import GraphProto, NodeProto, helper, numpy_helper

from openwork.deploy.proof.bounds import UNIT
from openwork.graph import Evaluator, operator_of

RUNS = 3
# Of a float result, in halves of a unit in the last place.
ROUNDING = 8.0

Array = NDArray[np.generic]


def moved(model: ir.Model, inputs: Mapping[str, Array], *, runs: int = RUNS) -> dict[str, float]:
    """How far each output moves at most, in its own unit.

    Args:
        model: canonical. Of a quantized one only the results of DequantizeLinear are off. Not modified.
        runs: each with noise of its own.
    Raises: ModelError, DataError: onnxruntime refuses the model or the inputs.
    """
    right = Evaluator(model, optimized=False).run(inputs)
    found = dict.fromkeys(right, 0.0)
    for seed in range(runs):
        generator = np.random.default_rng(seed)
        copy = _noisy(model, 1000 * seed)
        given = inputs if is_quantized(model) else {name: _off(array, generator) for name, array in inputs.items()}
        for name, output in Evaluator(copy, optimized=False).run(given).items():
            with np.errstate(invalid="ignore"):
                away = np.abs(output.astype(np.float64) - right[name].astype(np.float64))
            found[name] = max(found[name], float(away[np.isfinite(away)].max(initial=0)))
    return found


def is_quantized(model: ir.Model) -> bool:
    return any(operator_of(node) == "QuantizeLinear" for node in model.graph)


def _noisy(model: ir.Model, seed: int) -> ir.Model:
    """onnxruntime draws the noise itself: as constants it would be larger than the model."""
    proto = ir.to_proto(model)
    nodes: list[NodeProto] = []
    quantized = is_quantized(model)
    for at, (node, ir_node) in enumerate(zip(proto.graph.node, model.graph, strict=True)):
        nodes.append(node)
        if quantized != (operator_of(node) == "DequantizeLinear"):
            continue
        for index, value in enumerate(ir_node.outputs):
            if value.dtype != ir.DataType.FLOAT or not value.name:
                continue
            name, before, noise = value.name, f"{value.name}//right", f"{value.name}//noise"
            node.output[index] = before
            most = 0.5 if quantized else UNIT * ROUNDING
            nodes.append(
                helper.make_node("RandomUniformLike", [before], [noise], low=-most, high=most, seed=float(seed + at))
            )
            if quantized:
                scale = _scale(proto.graph, ir_node, name)
                if scale is None:
                    nodes[-1] = helper.make_node("Identity", [before], [name])
                    continue
            else:
                scale = before
            nodes.append(helper.make_node("Mul", [noise, scale], [f"{name}//off"]))
            nodes.append(helper.make_node("Add", [before, f"{name}//off"], [name]))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)
    return ir.from_proto(proto)


def _scale(graph: GraphProto, node: ir.Node, name: str) -> str | None:
    """The name of the scale of a DequantizeLinear as it broadcasts against the result; of blocks, the largest."""
    value, result = node.inputs[1], node.outputs[0]
    if value is None or value.const_value is None or result.shape is None:
        return None
    scale = value.const_value.numpy().astype(np.float32)
    if scale.ndim > 1:
        scale = scale.max(keepdims=True).reshape(())
    elif scale.size > 1:
        attribute, rank = node.attributes.get("axis"), len(result.shape)
        axis = 1 if attribute is None else attribute.as_int()
        scale = scale.reshape(-1, *[1] * (rank - 1 - axis % rank))
    else:
        scale = scale.reshape(())
    graph.initializer.append(numpy_helper.from_array(scale, f"{name}//scale"))
    return f"{name}//scale"


def _off(array: Array, generator: np.random.Generator) -> Array:
    if array.dtype != np.float32:
        return array
    return (array.astype(np.float64) * (1 + UNIT * ROUNDING * generator.uniform(-1, 1, array.shape))).astype(np.float32)
