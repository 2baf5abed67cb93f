"""Compute what depends on constants only."""

import onnx_ir as ir

from openwork.errors import ModelError
from openwork.graph import operator_of

# These carry what quantization is about; folding them would turn integer weights back into floats.
KEPT = ("DequantizeLinear", "DynamicQuantizeLinear")

# What folding may drop or write otherwise though their inputs are not constant.
_REWRITTEN = frozenset(
    (
        *("Cast", "CastLike", "Concat", "ConcatFromSequence", "Dropout", "Expand", "Identity", "If", "Reshape"),
        *("SequenceAt", "SequenceConstruct", "Shape", "Size", "SplitToSequence"),
    )
)


def fold_constants(model: ir.Model) -> bool:
    """Replace nodes whose inputs are all constant by their results, and drop what does nothing.

        before: Conv(x, w, Expand(0, Shape(w)))     Relu(Dropout(Identity(x)))     Q(float weights)
        after:  Conv(x, w, constant)                Relu(x)                        integer weights

    DequantizeLinear stays, and so does QuantizeLinear of anything but a constant: quantized models keep
    their integers.

    Requires: no Constant nodes left (they are initializers), static inputs.
    Ensures: no node but a DequantizeLinear has only constant inputs (save random ones, those that ONNX's reference
        cannot compute, and those whose results or operations would be too many); no Identity and no Dropout, save one
        that links an output to an input, an initializer or another output.
    Raises: ModelError: a node is malformed, or computing it takes too long.
    """
    if not any(_may_change(node) for graph in (*model.graphs(), *model.functions.values()) for node in graph):
        return False
    from openwork.passes.folding import (
        Folding,  # half a second of what it imports, which most small networks do without
    )

    try:
        return Folding(model)(model).modified
    except RuntimeError as error:
        raise ModelError(f"model: {error}; check the attributes and inputs of this node") from error


def _may_change(node: ir.Node) -> bool:
    if operator_of(node) in _REWRITTEN:
        return True
    return operator_of(node) not in KEPT and all(
        value is None or value.const_value is not None for value in node.inputs
    )
