"""Elementwise operators against onnxruntime, over generated shapes and dtypes."""

from collections.abc import Callable, Mapping
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openwork.errors import UnsupportedError
from openwork.graph import evaluate
from openwork.lowering import Bounds, Clip, Program, Unary, interpreter, lower
from openwork.lowering.functions import BINARY, UNARY, BinaryFunction, UnaryFunction
from openwork.passes import canonicalise
from tests.models import ONNX_TYPES, Writer

Array = NDArray[Any]
some = settings(max_examples=20, deadline=None)
shapes = st.lists(st.integers(1, 4), max_size=4).map(tuple)
seeds = st.integers(0, 2**32 - 1)


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Small integers, zero and negative ones among them; normal floats."""
    if dtype == "float32":
        return rng.normal(0, 2, shape).astype(np.float32)
    low, high = (0, 2) if dtype == "bool" else (-4, 5)
    return np.asarray(rng.integers(low, high, shape)).astype(dtype)


def assert_agrees(writer: Writer, y: str, inputs: Mapping[str, Array]) -> Program:
    model = writer.model(y)
    canonicalise(model)
    program = lower(model)
    result, expected = interpreter.run(program, inputs)[y], evaluate(model, inputs)[y]
    assert result.dtype == expected.dtype and result.shape == expected.shape
    np.testing.assert_allclose(result, expected, rtol=3e-6, atol=3e-6)
    return program


def broadcast_pair(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast to `shape`, each perhaps with ones in it and with fewer dimensions."""
    full = rng.integers(0, 2)
    pair = []
    for index in (0, 1):
        sizes = [1 if index == full and rng.random() < 0.4 else size for size in shape]
        pair.append(tuple(sizes[rng.integers(0, len(sizes) + 1) :] if index == full else sizes))
    return pair[0], pair[1]


UNARY_OPERATORS: dict[str, tuple[dict[str, Any], Callable[[Array], Array] | None]] = {
    "Abs": ({}, None),
    "Ceil": ({}, None),
    "Celu": ({"alpha": 0.7}, None),
    "Cos": ({}, None),
    "Elu": ({"alpha": 0.3}, None),
    "Erf": ({}, None),
    "Exp": ({}, None),
    "Floor": ({}, None),
    "Gelu": ({}, None),
    "Gelu, tanh": ({"approximate": "tanh"}, None),
    "HardSigmoid": ({"alpha": 0.4, "beta": 0.6}, None),
    "HardSwish": ({}, None),
    "LeakyRelu": ({"alpha": 0.2}, None),
    "Log": ({}, np.abs),
    "Mish": ({}, None),
    "Neg": ({}, None),
    "Reciprocal": ({}, None),
    "Relu": ({}, None),
    "Round": ({}, lambda x: np.round(2 * x) / 2),  # halves, which go to even numbers
    "Selu": ({}, None),
    "Sigmoid": ({}, lambda x: 40 * x),
    "Sign": ({}, np.round),
    "Sin": ({}, None),
    "Softplus": ({}, lambda x: 40 * x),
    "Softsign": ({}, None),
    "Sqrt": ({}, np.abs),
    "Tanh": ({}, None),
    "ThresholdedRelu": ({"alpha": 0.5}, None),
}


@pytest.mark.parametrize("case", UNARY_OPERATORS)
@settings(some, max_examples=8)
@given(seeds, shapes)
def test_functions_of_one_float(case: str, seed: int, shape: tuple[int, ...]) -> None:
    attributes, prepared = UNARY_OPERATORS[case]
    writer, x = Writer(seed), values(np.random.default_rng(seed), shape, "float32")
    y = writer.op(case.partition(",")[0], writer.input("x", shape), name="y", **attributes)
    assert_agrees(writer, y, {"x": np.asarray(x if prepared is None else prepared(x), np.float32)})


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize("operator", ["Abs", "Neg", "Sign"])
@settings(some, max_examples=5)
@given(seeds, shapes)
def test_functions_of_one_integer(operator: str, dtype: str, seed: int, shape: tuple[int, ...]) -> None:
    writer = Writer(seed)
    y = writer.op(operator, writer.input("x", shape, dtype), name="y")
    assert_agrees(writer, y, {"x": values(writer.rng, shape, dtype)})


def test_relu_of_integers() -> None:
    writer = Writer()
    y = writer.op("Relu", writer.input("x", (3, 5), "int32"), name="y")
    assert_agrees(writer, y, {"x": values(writer.rng, (3, 5), "int32")})


NUMBERS = ("float32", "int32", "int64")
OPERATORS_OF_TWO = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Min", "Max", "Equal", "Greater", "GreaterOrEqual"), NUMBERS),
    **dict.fromkeys(("Less", "LessOrEqual", "Pow"), NUMBERS),
    "Mod": ("int32", "int64"),
    **dict.fromkeys(("And", "Or", "Xor"), ("bool",)),
    "PRelu": ("float32",),
}


@pytest.mark.parametrize(
    ("operator", "dtype"), [(op, dtype) for op, all_ in OPERATORS_OF_TWO.items() for dtype in all_]
)
@settings(some, max_examples=10)
@given(seeds, shapes, st.sampled_from(["inputs", "first constant", "second constant"]))
def test_functions_of_two(operator: str, dtype: str, seed: int, shape: tuple[int, ...], given: str) -> None:
    writer = Writer(seed)
    first, second = broadcast_pair(writer.rng, shape)
    if operator == "PRelu":
        first, second = (first, second) if first == shape else (second, first)
    a, b = values(writer.rng, first, dtype), values(writer.rng, second, dtype)
    if operator == "Pow":
        a, b = np.abs(a) if dtype == "float32" else a, b if dtype == "float32" else np.abs(b)
    if dtype.startswith("int") and operator in ("Div", "Mod"):
        b = np.where(b == 0, np.array(3, dtype), b)  # ONNX leaves it open, and onnxruntime stops
    inputs = {}
    names = []
    for name, array, constant in (("a", a, given == "first constant"), ("b", b, given == "second constant")):
        names.append(writer.constant(array, name) if constant else writer.input(name, array.shape, dtype))
        inputs |= {} if constant else {name: np.asarray(array)}
    assert_agrees(writer, writer.op(operator, *names, name="y"), inputs)


@pytest.mark.parametrize(("base", "exponent"), [("float32", "int64"), ("int32", "float32"), ("int64", "int32")])
def test_a_power_may_have_two_dtypes(base: str, exponent: str) -> None:
    writer = Writer()
    inputs = {"a": np.array([1, 2, 3, 5]).astype(base), "b": np.array([[0], [1], [2], [3]]).astype(exponent)}
    y = writer.op("Pow", writer.input("a", (4,), base), writer.input("b", (4, 1), exponent), name="y")
    assert_agrees(writer, y, inputs)


@pytest.mark.parametrize("power", [2.0, 0.5, 3.0])
def test_powers_of_a_constant(power: float) -> None:
    writer = Writer()
    y = writer.op("Pow", writer.input("x", (3, 5)), writer.constant(np.float32(power)), name="y")
    assert_agrees(writer, y, {"x": np.abs(writer.normal(3, 5))})


def test_remainders_of_floats_have_the_sign_of_the_dividend() -> None:
    writer = Writer()
    y = writer.op("Mod", writer.input("a", (4, 5)), writer.input("b", (5,)), name="y", fmod=1)
    assert_agrees(writer, y, {"a": writer.normal(4, 5, scale=9), "b": writer.normal(5)})


@pytest.mark.parametrize("fmod", [0, 1])
def test_remainders_of_integers(fmod: int) -> None:
    writer = Writer()
    y = writer.op("Mod", writer.input("a", (6,), "int32"), writer.input("b", (6,), "int32"), name="y", fmod=fmod)
    a, b = np.array([7, -7, 7, -7, 6, -6], np.int32), np.array([3, 3, -3, -3, 3, -3], np.int32)
    assert_agrees(writer, y, {"a": a, "b": b})


@pytest.mark.parametrize("operator", ["Max", "Min", "Sum", "Mean"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_functions_of_many(operator: str, count: int) -> None:
    writer = Writer()
    given = [(2, 3, 4), (3, 1), (), (1, 4)][:count]
    names = [writer.input(f"x{index}", shape) for index, shape in enumerate(given)]
    y = writer.op(operator, *names, name="y")
    assert_agrees(
        writer, y, {name: values(writer.rng, shape, "float32") for name, shape in zip(names, given, strict=True)}
    )


@pytest.mark.parametrize("dtype", ["float32", "int32", "int64", "uint8", "int8"])  # onnxruntime has these
@some
@given(seeds, shapes)
def test_where(dtype: str, seed: int, shape: tuple[int, ...]) -> None:
    writer = Writer(seed)
    first, second = broadcast_pair(writer.rng, shape)
    third, _ = broadcast_pair(writer.rng, shape)
    inputs = {
        "c": values(writer.rng, first, "bool"),
        "a": values(writer.rng, second, dtype),
        "b": values(writer.rng, third, dtype),
    }
    names = [writer.input(name, array.shape, str(array.dtype)) for name, array in inputs.items()]
    assert_agrees(writer, writer.op("Where", *names, name="y"), inputs)


CASTABLE = ("float32", "int32", "int64", "int8", "uint8", "bool")


@pytest.mark.parametrize("to", CASTABLE)
@pytest.mark.parametrize("dtype", CASTABLE)
@pytest.mark.parametrize("like", [False, True])
def test_cast(dtype: str, to: str, like: bool) -> None:
    writer = Writer()
    x = writer.input("x", (3, 7), dtype)
    given = np.abs(values(writer.rng, (3, 7), dtype)) if to == "uint8" else values(writer.rng, (3, 7), dtype)
    if like:
        y = writer.op("CastLike", x, writer.constant(np.zeros((), to)), name="y")
    else:
        y = writer.op("Cast", x, name="y", to=ONNX_TYPES[to])
    assert_agrees(writer, y, {"x": given})


@pytest.mark.parametrize("dtype", NUMBERS)
@pytest.mark.parametrize("given", ["both", "low", "high", "none", "run time"])
def test_clip(dtype: str, given: str) -> None:
    writer = Writer(opset=13)
    x = writer.input("x", (2, 5), dtype)
    inputs = {"x": values(writer.rng, (2, 5), dtype)}
    low, high = np.array(-2, dtype), np.array(1, dtype)
    if given == "run time":
        inputs |= {"low": low, "high": high}
        limits = [writer.input("low", (), dtype), writer.input("high", (), dtype)]
    else:
        limits = [writer.constant(low) if given in ("both", "low") else ""]
        limits += [writer.constant(high)] if given in ("both", "high") else []
    program = assert_agrees(writer, writer.op("Clip", x, *limits, name="y"), inputs)
    if dtype == "float32" and given == "both":
        [step] = program.steps
        assert isinstance(step, Clip) and step.bounds == Bounds(-2, 1)


@pytest.mark.parametrize(("negative", "positive"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_what_is_infinite_and_what_is_no_number(negative: int, positive: int) -> None:
    x = np.array([[1, -np.inf, np.inf, np.nan, -0.0, 3e38]], np.float32)
    for operator, attributes in (("IsNaN", {}), ("IsInf", {"detect_negative": negative, "detect_positive": positive})):
        writer = Writer()
        assert_agrees(writer, writer.op(operator, writer.input("x", x.shape), name="y", **attributes), {"x": x})


def test_a_prelu_of_one_slope_is_a_function_of_one() -> None:
    writer = Writer()
    y = writer.op(
        "PRelu", writer.input("x", (1, 3, 2, 2)), writer.constant(np.full((1, 1, 1), 0.25, np.float32)), name="y"
    )
    [step] = assert_agrees(writer, y, {"x": writer.normal(1, 3, 2, 2)}).steps
    assert isinstance(step, Unary) and step.function == "leaky_relu" and step.parameters == (0.25,)


def test_swish_is_silu_or_its_parts() -> None:
    """onnxruntime does not know the operator yet; its own definition is the oracle."""
    for alpha in (1.0, 1.5):
        writer = Writer(opset=24)
        model = writer.model(writer.op("Swish", writer.input("x", (4, 9)), name="y", alpha=alpha))
        canonicalise(model)
        x = writer.normal(4, 9)
        result = interpreter.run(lower(model), {"x": x})["y"]
        np.testing.assert_allclose(result, x / (1 + np.exp(-alpha * x.astype(np.float64))), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_other_dtypes_are_refused_with_the_reason(dtype: str) -> None:
    writer = Writer()
    x = writer.op("Cast", writer.input("x", (3,)), to=int(onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))
    model = writer.model(writer.op("Cast", x, name="y", to=ONNX_TYPES["float32"]))
    canonicalise(model)
    with pytest.raises(UnsupportedError, match=f"is {dtype}; openwork takes float32, int32"):
        lower(model)


INTEGERS = st.integers(-(2**31), 2**31 - 1)


@some
@given(INTEGERS, INTEGERS)
def test_no_integers_stop_a_program(a: int, b: int) -> None:
    """Division cuts towards zero, by zero gives zero, and what does not fit wraps around."""
    x, y = np.array(a, np.int32), np.array(b, np.int32)
    with np.errstate(all="ignore"):
        for divisor in (b, 0, -1):
            quotient = BINARY["div"](x, np.array(divisor, np.int32))
            exact = 0 if divisor == 0 else abs(a) // abs(divisor) * (1 if (a < 0) == (divisor < 0) else -1)
            assert int(quotient) == (exact + 2**31) % 2**32 - 2**31
        assert int(BINARY["mod"](x, y)) == (a % b if b else 0)


@pytest.mark.parametrize("base", [-3, -1, 0, 1, 2])
def test_integers_to_a_negative_power_have_their_fraction_cut_off(base: int) -> None:
    exponents = np.array([-3, -2, -1, 0, 1, 3], np.int64)
    expected = [0 if base == 0 and e < 0 else int(float(base) ** e) for e in exponents.tolist()]
    np.testing.assert_array_equal(BINARY["pow"](np.full(6, base, np.int64), exponents), expected)


def test_every_function_has_a_meaning() -> None:
    assert set(UNARY) == set(get_args(UnaryFunction)) and set(BINARY) == set(get_args(BinaryFunction))
