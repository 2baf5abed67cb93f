"""How much work the reference operators make of a node."""

from collections import ChainMap
from math import prod

import onnx_ir as ir

from openwork.graph import operator_of

# Loops in Python rather than in NumPy: so many operations of NumPy an element.
_LOOP = 256

_PRODUCTS = frozenset(("MatMul", "MatMulInteger", "QLinearMatMul", "Gemm"))
_CONVOLUTIONS = frozenset(("Conv", "ConvInteger", "QLinearConv", "ConvTranspose", "DeformConv"))
_WINDOWS = frozenset(("MaxPool", "AveragePool", "LpPool"))

# One or a few calls of NumPy on whole tensors.
_WHOLE = frozenset(
    (
        *(
            "Abs",
            "Acos",
            "Acosh",
            "Add",
            "And",
            "Asin",
            "Asinh",
            "Atan",
            "Atanh",
            "BitShift",
            "BitwiseAnd",
            "BitwiseNot",
        ),
        *("BitwiseOr", "BitwiseXor", "Cast", "CastLike", "Ceil", "Clip", "Concat", "ConstantOfShape", "Cos", "Cosh"),
        *("CumSum", "Div", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "Gather", "GatherElements"),
        *("Gelu", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN", "LeakyRelu"),
        *("Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mod", "Mul", "Neg", "NonZero", "Not", "OneHot", "Or"),
        *("PRelu", "Pad", "Pow", "QuantizeLinear", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceMax"),
        *("ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "ReduceSumSquare", "Relu", "Reshape", "Round", "Shape"),
        *("Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax", "Softplus", "Split", "Sqrt", "Squeeze", "Sub"),
        *("Sum", "Tan", "Tanh", "Tile", "Transpose", "Trilu", "Unsqueeze", "Where", "Xor"),
    )
)


def work(node: ir.Node) -> int:
    """About how many operations of NumPy it takes to compute a node, from the sizes of its inputs and results."""
    inputs, outputs = ([_sizes(value) for value in values] for values in (node.inputs, node.outputs))
    read, made = (sum(map(prod, sizes)) for sizes in (inputs, outputs))
    if operator_of(node) in _PRODUCTS and inputs[0]:
        return read + made * inputs[0][-1] + made * inputs[0][0]
    if operator_of(node) == "Einsum":
        return read + _einsum(node)
    if operator_of(node) in _CONVOLUTIONS:
        weight = inputs[3 if operator_of(node) == "QLinearConv" else 1] if len(inputs) > 1 else ()
        return (read + made) * max(1, prod(weight[1:]))
    if operator_of(node) in _WINDOWS:
        return _LOOP * (read + made * prod(node.attributes.get_ints("kernel_shape", ())))
    return (read + made) * (1 if operator_of(node) in _WHOLE else _LOOP)


def _einsum(node: ir.Node) -> int:
    """The size of the space that all letters span; dots stand for no more than their operands have elements."""
    terms = node.attributes.get_string("equation", "").partition("->")[0].replace(" ", "").split(",")
    sizes = [_sizes(value) for value in node.inputs]
    known = ChainMap(
        *(dict(zip(term, each, strict=False)) for term, each in zip(terms, sizes, strict=False) if "." not in term)
    )
    dotted = [prod(each) for term, each in zip(terms, sizes, strict=False) if "." in term]
    return prod(known.values()) * prod(dotted)


def _sizes(value: ir.Value | None) -> tuple[int, ...]:
    return value.shape.numpy() if value is not None and value.shape is not None and value.shape.is_static() else ()
