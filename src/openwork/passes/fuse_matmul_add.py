"""A matrix product and its bias are one Gemm."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import Constants, constant, operator_of, static_shape


def fuse_matmul_add(model: ir.Model) -> bool:
    """Turn MatMul of two matrices, followed by Add of a constant row, into Gemm.

        before: Add(MatMul(x[m, k], w[k, n]), b[n])
        after:  Gemm(x, w, b)

    The same products are summed, so results differ by no more than the order of a sum. The weight may stand
    behind a DequantizeLinear.

    Requires: static shapes.
    Ensures: the bias of each new Gemm is a constant [n].
    """
    changed, constants = False, Constants(model.graph)
    for node in model.graph:
        if operator_of(node) == "Add":
            left, right = node.inputs
            changed |= _fuse(node, left, right, constants) or _fuse(node, right, left, constants)
    return changed


def _fuse(add: ir.Node, product: ir.Value | None, bias: ir.Value | None, constants: Constants) -> bool:
    matmul = product.producer() if product is not None else None
    if product is None or bias is None or matmul is None or operator_of(matmul) != "MatMul":
        return False
    if len(product.uses()) != 1 or product.is_graph_output() or len(static_shape(product)) != 2:
        return False
    row = _row(constant(bias), columns=static_shape(product)[1])
    if row is None:
        return False
    gemm = ir.node("Gemm", [*matmul.inputs, bias], name=matmul.name)
    assert add.graph is not None and bias.name is not None
    ir.convenience.replace_nodes_and_values(add.graph, add, [matmul, add], [gemm], add.outputs, gemm.outputs)
    if static_shape(bias) != row.shape:
        constants.set_input(gemm, 2, bias.name, row)
    return True


def _row(bias: NDArray[np.generic] | None, columns: int) -> NDArray[np.generic] | None:
    """The bias as [columns], if it is the same for every row of the product."""
    if bias is None or bias.ndim > 2 or bias.size not in (1, columns) or bias.shape[:-1] not in ((), (1,)):
        return None
    return np.broadcast_to(bias.reshape(-1), columns)
