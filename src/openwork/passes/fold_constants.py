"""Compute what depends on constants only."""

import onnx_ir as ir
from onnxscript.optimizer import fold_constants_ir

from openwork.errors import ModelError

# These carry what quantization is about; folding them would turn integer weights back into floats.
_KEPT = ("DequantizeLinear", "DynamicQuantizeLinear")

# Elements. Large enough for any weight; small enough that one ConstantOfShape cannot fill the memory.
_LARGEST_RESULT = 1 << 26


def fold_constants(model: ir.Model) -> bool:
    """Replace nodes whose inputs are all constant by their results, and drop what does nothing.

        before: Conv(x, w, Expand(0, Shape(w)))     Relu(Dropout(Identity(x)))     Q(float weights)
        after:  Conv(x, w, constant)                Relu(x)                        integer weights

    DequantizeLinear stays, and so does QuantizeLinear of anything but a constant: quantized models keep
    their integers.

    Requires: no Constant nodes left (they are initializers), static inputs.
    Ensures: no node but a DequantizeLinear has only constant inputs (save random ones, and those that ONNX's
        reference cannot compute); no Identity and no Dropout, save one that links an output to an input, an
        initializer or another output.
    Raises: ModelError: a node is malformed.
    """
    try:
        result = fold_constants_ir(
            model,
            onnx_shape_inference=True,
            output_size_limit=_LARGEST_RESULT,
            should_fold=lambda node: node.op_type not in _KEPT,
        )
    except RuntimeError as error:
        raise ModelError(f"model: {error}; check the attributes and inputs of this node") from error
    return result.modified
