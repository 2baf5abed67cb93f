"""Operators that compute each element by itself."""

from collections.abc import Mapping

import onnx_ir as ir

from openwork.frontends.tflite.draft import Draft, Unsupported
from openwork.frontends.tflite.network import Operator
from openwork.frontends.tflite.operators.rule import Rule, activated, clipped


def _unary(operator: str) -> Rule:
    """The operator of ONNX that does the same to each element."""

    def rule(op: Operator, draft: Draft) -> None:
        draft.write(op, draft.emit(operator, draft.real(op, 0)))

    return rule


def _binary(operator: str) -> Rule:
    """The operator of ONNX that does the same to each pair of elements, and broadcasts alike."""

    def rule(op: Operator, draft: Draft) -> None:
        draft.write(op, activated(op, draft, draft.emit(operator, *_operands(op, draft, 2))))

    return rule


def _comparison(operator: str) -> Rule:
    """As `_binary`; its options hold no activation function, and may be missing."""

    def rule(op: Operator, draft: Draft) -> None:
        draft.write(op, draft.emit(operator, *_operands(op, draft, 2)))

    return rule


def _operands(op: Operator, draft: Draft, count: int) -> list[ir.Value]:
    rank = max(len(draft.tensor(op, index).shape) for index in range(count))
    return [draft.real_of_rank(op, index, rank) for index in range(count)]


def _clip(low: float, high: float) -> Rule:
    def rule(op: Operator, draft: Draft) -> None:
        draft.write(op, clipped(draft, draft.real(op, 0), low, high))

    return rule


def _rsqrt(op: Operator, draft: Draft) -> None:
    draft.write(op, draft.emit("Reciprocal", draft.emit("Sqrt", draft.real(op, 0))))


def _square(op: Operator, draft: Draft) -> None:
    x = draft.real(op, 0)
    draft.write(op, draft.emit("Mul", x, x))


def _squared_difference(op: Operator, draft: Draft) -> None:
    difference = draft.emit("Sub", *_operands(op, draft, 2))
    draft.write(op, draft.emit("Mul", difference, difference))


def _leaky_relu(op: Operator, draft: Draft) -> None:
    draft.write(op, draft.emit("LeakyRelu", draft.real(op, 0), alpha=op.option("Alpha")))


def _prelu(op: Operator, draft: Draft) -> None:
    draft.write(op, draft.emit("PRelu", *_operands(op, draft, 2)))


def _gelu(op: Operator, draft: Draft) -> None:
    approximate = "tanh" if op.option("Approximate", False) else "none"
    draft.write(op, draft.emit("Gelu", draft.real(op, 0), approximate=approximate))


def _quantize(op: Operator, draft: Draft) -> None:
    """From floats or from integers of another scale."""
    if not draft.result(op).quantized:
        raise Unsupported("its output is not quantized")
    draft.write(op, draft.real(op, 0))


def _dequantize(op: Operator, draft: Draft) -> None:
    """From integers, or from float16. Its result has a name of its own, so it is not shared with other readers."""
    x = draft.tensor(op, 0)
    if x.quantized:
        draft.write(op, draft.dequantized(op, 0, draft.stored(op, 0)))
    else:
        draft.write(op, draft.emit("Cast", draft.stored(op, 0), to=ir.DataType.FLOAT))


def _cast(op: Operator, draft: Draft) -> None:
    """Casts the numbers as stored: what they stand for does not count."""
    dtype = ir.DataType.from_numpy(draft.result(op).dtype)
    draft.write(op, draft.emit("Cast", draft.stored(op, 0), to=dtype), stored=True)


def _select(op: Operator, draft: Draft) -> None:
    draft.write(op, draft.emit("Where", *_operands(op, draft, 3)))


OPERATORS: Mapping[str, Rule] = {
    "ABS": _unary("Abs"),
    "ADD": _binary("Add"),
    "CAST": _cast,
    "CEIL": _unary("Ceil"),
    "COS": _unary("Cos"),
    "DEQUANTIZE": _dequantize,
    "DIV": _binary("Div"),
    "ELU": _unary("Elu"),
    "EQUAL": _comparison("Equal"),
    "EXP": _unary("Exp"),
    "FLOOR": _unary("Floor"),
    "GELU": _gelu,
    "GREATER": _comparison("Greater"),
    "GREATER_EQUAL": _comparison("GreaterOrEqual"),
    "HARD_SWISH": _unary("HardSwish"),
    "LEAKY_RELU": _leaky_relu,
    "LESS": _comparison("Less"),
    "LESS_EQUAL": _comparison("LessOrEqual"),
    "LOG": _unary("Log"),
    "LOGICAL_AND": _comparison("And"),
    "LOGICAL_NOT": _unary("Not"),
    "LOGICAL_OR": _comparison("Or"),
    "LOGISTIC": _unary("Sigmoid"),
    "MAXIMUM": _comparison("Max"),
    "MINIMUM": _comparison("Min"),
    "MUL": _binary("Mul"),
    "NEG": _unary("Neg"),
    "POW": _comparison("Pow"),
    "PRELU": _prelu,
    "QUANTIZE": _quantize,
    "RELU": _unary("Relu"),
    "RELU6": _clip(0.0, 6.0),
    "RELU_0_TO_1": _clip(0.0, 1.0),
    "RELU_N1_TO_1": _clip(-1.0, 1.0),
    "ROUND": _unary("Round"),
    "RSQRT": _rsqrt,
    "SELECT_V2": _select,
    "SIN": _unary("Sin"),
    "SQRT": _unary("Sqrt"),
    "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference,
    "SUB": _binary("Sub"),
    "TANH": _unary("Tanh"),
}
