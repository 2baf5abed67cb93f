"""Compute what depends on constants only."""

from math import prod

import onnx_ir as ir
from onnxscript.optimizer import fold_constants_ir

from openwork.errors import ModelError
from openwork.passes.infer_shapes import output_types

# These carry what quantization is about; folding them would turn integer weights back into floats.
_KEPT = ("DequantizeLinear", "DynamicQuantizeLinear")

# Elements that all results together may have beyond four times the model's own constants, so that no ConstantOfShape
# can fill the memory.
_ADDED_ELEMENTS = 1 << 24


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
    left = _ADDED_ELEMENTS + 4 * sum(_size(value) for value in model.graph.initializers.values())

    def should_fold(node: ir.Node) -> bool:
        """Asked of every node whose inputs are constant, before it is computed."""
        nonlocal left
        size = _result_size(node, model)
        if node.op_type in _KEPT or _is_copied_out(node) or size > left:
            return False
        left -= size
        return True

    try:
        result = fold_constants_ir(
            model,
            onnx_shape_inference=True,
            output_size_limit=left,
            should_fold=should_fold,
        )
    except RuntimeError as error:
        raise ModelError(f"model: {error}; check the attributes and inputs of this node") from error
    return result.modified


def _is_copied_out(node: ir.Node) -> bool:
    """Whether a node writes a constant output, see `copy_constant_outputs`."""
    return node.op_type == "Identity" and node.outputs[0].is_graph_output()


def _result_size(node: ir.Node, model: ir.Model) -> int:
    """Elements of the results; where ONNX cannot tell, as NonZero's, those of the inputs."""
    types = output_types(node, model)
    sizes = [prod(dim.dim_value for dim in each.tensor_type.shape.dim) for each in types.values()]
    return max(sizes, default=0) or sum(_size(value) for value in node.inputs if value is not None)


def _size(value: ir.Value) -> int:
    return 0 if value.const_value is None else value.const_value.size
