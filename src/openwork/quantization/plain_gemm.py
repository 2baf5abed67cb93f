"""Gemms with factors or transposed inputs, written so that they can run in integers."""

import numpy as np
import onnx_ir as ir

from openwork.graph import Constants, constant, operator_of


def with_plain_gemms(model: ir.Model) -> ir.Model:
    """A copy in which every Gemm by a constant weight is input @ weight + bias.

        before: Gemm<alpha=0.5, beta=2, transA=1>(x, w, b)
        after:  Gemm(Transpose(x), 0.5 w, 2 b)

    Tensors keep their names and values (to one rounding of the weights); a copy without such Gemms is equal.
    """
    copy = model.clone()
    constants = Constants(copy.graph)
    for node in copy.graph:
        if operator_of(node) == "Gemm" and all(constant(x) is not None for x in node.inputs[1:]):
            _fold_factor(node, "alpha", 1, constants)
            _fold_factor(node, "beta", 2, constants)
            _transpose_input(node)
    return copy


def _fold_factor(gemm: ir.Node, attribute: str, index: int, constants: Constants) -> None:
    factor = np.float32(gemm.attributes.get_float(attribute, 1.0))
    operand = gemm.inputs[index] if index < len(gemm.inputs) else None
    array = constant(operand)
    gemm.attributes.pop(attribute, None)
    if factor != 1 and operand is not None and array is not None:
        constants.set_input(gemm, index, str(operand.name), factor * array.astype(np.float32, copy=False))


def _transpose_input(gemm: ir.Node) -> None:
    source = gemm.inputs[0]
    if not gemm.attributes.get_int("transA", 0) or source is None or gemm.graph is None:
        return
    del gemm.attributes["transA"]
    shape = None if source.shape is None else ir.Shape(list(source.shape)[::-1])
    result = ir.Value(name=f"{source.name}_transposed", shape=shape, type=source.type)
    transpose = ir.node("Transpose", [source], {"perm": [1, 0]}, outputs=[result], name=f"{gemm.name}_transpose")
    gemm.graph.insert_before(gemm, transpose)
    gemm.replace_input_with(0, result)
