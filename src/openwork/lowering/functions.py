"""Elementwise functions by name, and what they mean: NumPy on float32 unless said otherwise.

Given float64, those of floats compute in float64: what the result would be without rounding.
"""

from collections.abc import Callable, Mapping
from math import erf, sqrt
from typing import Literal

import numpy as np

from openwork.lowering.arithmetic import Array

UnaryFunction = Literal[
    "abs",
    "ceil",
    "cos",
    "elu",
    "erf",
    "exp",
    "floor",
    "gelu",
    "gelu_tanh",
    "hard_sigmoid",
    "hard_swish",
    "leaky_relu",
    "log",
    "mish",
    "neg",
    "not",
    "reciprocal",
    "round",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softplus",
    "softsign",
    "sqrt",
    "tanh",
    "thresholded_relu",
]
BinaryFunction = Literal[
    "add",
    "and",
    "div",
    "equal",
    "fmod",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "max",
    "min",
    "mod",
    "mul",
    "or",
    "pow",
    "prelu",
    "sub",
    "xor",
]

ONE, HALF = np.float32(1), np.float32(0.5)

_erf = np.vectorize(erf, otypes=[np.float64])  # NumPy has none


def _float_erf(x: Array) -> Array:
    y: Array = _erf(x).astype(x.dtype)
    return y


def _sigmoid(x: Array) -> Array:
    return ONE / (ONE + np.exp(-x))


def _elu(x: Array, alpha: np.float32, inner: np.float32, outer: np.float32) -> Array:
    """Elu, Celu and Selu are one function."""
    return outer * np.where(x < 0, alpha * np.expm1(inner * x), x)


def _gelu(x: Array) -> Array:
    """In the order in which torch writes it out, so that it may be fused from its parts."""
    return HALF * (x * (ONE + _float_erf(x / np.float32(sqrt(2)))))


def _gelu_tanh(x: Array) -> Array:
    """Hendrycks & Gimpel 2016, arXiv:1606.08415, section 2."""
    return HALF * x * (ONE + np.tanh(np.float32(sqrt(2 / np.pi)) * (x + np.float32(0.044715) * x * x * x)))


def _hard_sigmoid(x: Array, alpha: np.float32, beta: np.float32) -> Array:
    return np.clip(alpha * x + beta, np.float32(0), ONE)


def _softplus(x: Array) -> Array:
    return np.maximum(x, np.float32(0)) + np.log1p(np.exp(-np.abs(x)))


UNARY: Mapping[UnaryFunction, Callable[..., Array]] = {
    "abs": np.abs,  # float32, int32, int64
    "ceil": np.ceil,
    "cos": np.cos,
    "elu": _elu,
    "erf": _float_erf,
    "exp": np.exp,
    "floor": np.floor,
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x: x * _hard_sigmoid(x, np.float32(1 / 6), HALF),  # Howard et al. 2019, arXiv:1905.02244
    "leaky_relu": lambda x, alpha: np.where(x < 0, alpha * x, x),
    "log": np.log,
    "mish": lambda x: x * np.tanh(_softplus(x)),  # Misra 2019, arXiv:1908.08681
    "neg": np.negative,  # float32, int32, int64
    "not": np.logical_not,  # bool
    "reciprocal": lambda x: ONE / x,
    "round": np.rint,
    "sigmoid": _sigmoid,
    "sign": np.sign,  # float32, int32, int64
    "silu": lambda x: x * _sigmoid(x),
    "sin": np.sin,
    "softplus": _softplus,
    "softsign": lambda x: x / (ONE + np.abs(x)),
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "thresholded_relu": lambda x, alpha: np.where(x > alpha, x, np.float32(0)),
}


def _divide(a: Array, b: Array) -> Array:
    """Integers are cut towards zero, and anything / 0 is 0, so that no input can stop a program."""
    if a.dtype.kind == "f":
        return a / b
    divisor = np.where(b == 0, 1, b)
    quotient = np.floor_divide(a, divisor)
    is_cut = (a != quotient * divisor) & ((a < 0) != (b < 0))
    return np.where(b == 0, 0, quotient + is_cut)


def _power(a: Array, b: Array) -> Array:
    """Integers wrap around as products do; with a negative exponent the fraction is cut off, and 0 stays 0."""
    if a.dtype.kind == "f":
        return np.power(a, b)
    fraction = np.where(np.abs(a) == 1, np.where(b % 2 == 0, 1, a), 0)
    return np.where(b < 0, fraction, np.power(a, np.maximum(b, 0)))


def _safe(function: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """Remainders of integers: those by 0 are 0."""

    def remainder(a: Array, b: Array) -> Array:
        return function(a, b) if a.dtype.kind == "f" else np.where(b == 0, 0, function(a, np.where(b == 0, 1, b)))

    return remainder


# Numbers are float32, int32 or int64 on both sides; and, or, xor take bool; comparisons give bool.
BINARY: Mapping[BinaryFunction, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "and": np.logical_and,
    "div": _divide,
    "equal": np.equal,  # bool too
    "fmod": _safe(np.fmod),  # the sign of the dividend
    "greater": np.greater,
    "greater_equal": np.greater_equal,
    "less": np.less,
    "less_equal": np.less_equal,
    "max": np.maximum,
    "min": np.minimum,
    "mod": _safe(np.mod),  # the sign of the divisor
    "mul": np.multiply,
    "or": np.logical_or,
    "pow": _power,
    "prelu": lambda a, b: np.where(a < 0, a * b, a),  # float32
    "sub": np.subtract,
    "xor": np.logical_xor,
}
