import pytest

from openwork.deploy.proof.tolerance import Arithmetic, arithmetic
from openwork.lowering import lower
from openwork.passes import canonicalise
from tests.models import Writer, quantized, residual_net


def behind(writer: Writer, name: str) -> Arithmetic:
    model = writer.model(name)
    canonicalise(model)
    return arithmetic(lower(model))[name]


def test_float_sums_are_float() -> None:
    w = Writer()
    x = w.input("x", (1, 3, 8, 8))
    assert behind(w, w.op("Relu", w.conv(x, 3, 4, 3), name="y")) is Arithmetic.FLOAT


def test_what_only_moves_or_compares_is_exact() -> None:
    w = Writer()
    x = w.op("Transpose", w.input("x", (1, 3, 8, 8)), perm=[0, 2, 3, 1])
    x = w.op("MaxPool", x, kernel_shape=[2, 2])
    assert behind(w, w.requantized(x, 0.1, 128)) is Arithmetic.EXACT


@pytest.mark.parametrize(
    ("operator", "expected"),
    [
        ("Tanh", Arithmetic.FLOAT),
        ("Gelu", Arithmetic.FLOAT),
        ("HardSwish", Arithmetic.EXACT),
        ("Sqrt", Arithmetic.EXACT),
    ],
)
def test_transcendental_functions_are_float(operator: str, expected: Arithmetic) -> None:
    w = Writer()
    assert behind(w, w.op(operator, w.input("x", (1, 8)), name="y")) is expected


def test_a_table_of_a_transcendental_function_is_exact() -> None:
    w = Writer()
    y = w.quantize(w.op("Tanh", w.dequantize(w.input("x", (1, 8), "uint8"), 0.1, 128)), 0.01, 128, name="y")
    assert behind(w, y) is Arithmetic.EXACT


def test_integers_of_32_bits_are_exact() -> None:
    w = Writer()
    y = w.op("Mul", w.input("a", (1, 8), "int32"), w.input("b", (8,), "int32"), name="y")
    assert behind(w, y) is Arithmetic.EXACT


def test_integers_made_of_float_sums_are_requantized_from_there_on() -> None:
    w = Writer()
    x = w.requantized(w.op("LogSoftmax", w.input("x", (1, 8))), 1 / 256)
    assert behind(w, w.gemm(x, 8, 4)) is Arithmetic.REQUANTIZED


def test_a_network_quantized_throughout_is_exact() -> None:
    model = quantized(residual_net())
    canonicalise(model)
    assert set(arithmetic(lower(model)).values()) == {Arithmetic.EXACT}


@pytest.mark.parametrize(
    ("operator", "expected"),
    [("ArgMax", Arithmetic.CHOSEN), ("Floor", Arithmetic.CHOSEN), ("Abs", Arithmetic.FLOAT)],
)
def test_what_jumps_is_chosen(operator: str, expected: Arithmetic) -> None:
    w = Writer()
    assert behind(w, w.op(operator, w.op("Tanh", w.input("x", (1, 8))), name="y")) is expected


def test_what_jumps_is_exact_where_nothing_before_it_is_rounded() -> None:
    w = Writer()
    assert behind(w, w.op("ArgMax", w.input("x", (1, 8)), name="y")) is Arithmetic.EXACT
