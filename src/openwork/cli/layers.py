"""What the layers of a model cost and where their zeros lie, for tables, JSON and ONNX metadata."""

from dataclasses import asdict
from typing import Any

import numpy as np
import onnx_ir as ir

from openwork.graph import LayerCount, count, weight_of
from openwork.sparsity import find_pattern


def describe_layers(model: ir.Model) -> list[dict[str, Any]]:
    """Every layer of a canonical model: the fields of `LayerCount`, its sparsity, and the pattern found."""
    nodes = [node for node in model.graph if node.op_type in ("Conv", "Gemm", "MatMul")]
    return [_describe(node, layer) for node, layer in zip(nodes, count(model), strict=True)]


def totals(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over all layers, and the sparsity of all their weights together."""
    sums = {key: sum(layer[key] for layer in layers) for key in ("macs", "effective_macs", "weights", "nonzeros")}
    return {**sums, "sparsity": 1 - sums["nonzeros"] / sums["weights"] if sums["weights"] else 0.0}


def metadata(model: ir.Model) -> dict[str, str]:
    """What openwork writes into an ONNX file, where viewers such as Netron show it."""
    sums = totals(describe_layers(model))
    return {f"openwork.{key}": f"{value:.4f}" if key == "sparsity" else str(value) for key, value in sums.items()}


def _describe(node: ir.Node, layer: LayerCount) -> dict[str, Any]:
    weight = weight_of(node)
    if weight is not None and _is_in_by_out(node):
        weight = np.swapaxes(weight, -1, -2)
    pattern = None if weight is None or weight.ndim < 2 else find_pattern(weight).pattern
    return {
        **asdict(layer),
        "weight_shape": list(layer.weight_shape),
        "sparsity": layer.sparsity,
        "pattern": None if pattern is None else str(pattern),
    }


def _is_in_by_out(node: ir.Node) -> bool:
    """Whether the weight lies as [in, out]; patterns are about [out, in]."""
    return node.op_type == "MatMul" or (node.op_type == "Gemm" and not node.attributes.get_int("transB", 0))
