"""Rules for products, and what they mean, against onnxruntime."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest

from openwork.errors import UnsupportedError
from openwork.graph import evaluate
from openwork.lowering import FullyConnected, MatMul, Program, interpreter, lower
from openwork.passes import canonicalise
from tests.lowering.test_integers import assert_within_one_step, integer_input
from tests.models import Writer, random_inputs


def assert_agrees(model: ir.Model) -> Program:
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)
    canonicalise(model)
    program = lower(model)
    results = interpreter.run(program, inputs)
    for name, array in expected.items():
        assert results[name].dtype == array.dtype
        np.testing.assert_allclose(results[name], array, rtol=1e-5, atol=2e-6 * np.abs(array).max(), err_msg=name)
    return program


@pytest.mark.parametrize("constant", ["", "left", "right"])
@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (6, 4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((4,), (4,)),
        ((2, 3, 4), (4,)),
        ((4,), (2, 4, 5)),
        ((1, 1), (1, 1)),
        ((3, 1), (1, 5)),
    ],
)
def test_matmul(left: tuple[int, ...], right: tuple[int, ...], constant: str) -> None:
    writer = Writer()
    a = writer.constant(writer.normal(*left)) if constant == "left" else writer.input("a", left)
    b = writer.constant(writer.normal(*right)) if constant == "right" else writer.input("b", right)
    program = assert_agrees(writer.model(writer.op("MatMul", a, b, name="y")))
    weight = {"left": left, "right": right}.get(constant, ())
    [step] = [step for step in program.steps if isinstance(step, FullyConnected | MatMul)]
    assert isinstance(step, FullyConnected) == (len(weight) == 2)


@pytest.mark.parametrize("trans", [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("constants", ["b", "bc", "c", ""])
@pytest.mark.parametrize("c_shape", [None, (), (1,), (5,), (1, 5), (3, 1), (3, 5), (1, 1)])
def test_gemm(trans: tuple[int, int], constants: str, c_shape: tuple[int, ...] | None) -> None:
    writer = Writer()
    operands = [writer.input("a", (4, 3) if trans[0] else (3, 4))]
    shapes = {"b": (5, 4) if trans[1] else (4, 5)} | ({} if c_shape is None else {"c": c_shape})
    for name, shape in shapes.items():
        array = writer.rng.normal(size=shape).astype(np.float32)
        operands.append(writer.constant(array) if name in constants else writer.input(name, shape))
    y = writer.op("Gemm", *operands, name="y", transA=trans[0], transB=trans[1], alpha=0.3, beta=2.0)
    assert_agrees(writer.model(y))


def test_a_constant_row_is_the_bias_of_the_layer() -> None:
    writer = Writer()
    operands = (writer.input("a", (3, 4)), writer.constant(writer.normal(4, 5)), writer.constant(writer.normal(1, 5)))
    [step] = assert_agrees(writer.model(writer.op("Gemm", *operands, name="y", beta=0.5))).steps
    assert isinstance(step, FullyConnected) and step.bias is not None


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("bhij,bhjd->bihd", [(2, 3, 4, 6), (2, 3, 6, 5)]),
        ("bij,jk", [(2, 3, 4), (4, 5)]),
        ("i,j->ij", [(3,), (4,)]),
        ("i,i->", [(3,), (3,)]),
        ("ij,kl->jl", [(2, 3), (4, 5)]),
        ("ijk,jil->kl", [(2, 3, 4), (3, 2, 5)]),
        ("ij,j->ij", [(2, 3), (3,)]),
        ("ijk->ki", [(2, 3, 4)]),
        ("ij->ji", [(2, 3)]),
        ("ij->", [(2, 3)]),
    ],
)
def test_einsum(equation: str, shapes: list[tuple[int, ...]]) -> None:
    writer = Writer()
    names = [writer.input(f"x{i}", shape) for i, shape in enumerate(shapes)]
    assert_agrees(writer.model(writer.op("Einsum", *names, name="y", equation=equation)))


@pytest.mark.parametrize("equation", ["ii->i", "...i,ij->...j", "ij,jk,kl->il"])
def test_einsum_of_other_kinds_is_refused(equation: str) -> None:
    writer = Writer()
    names = [writer.input(f"x{i}", (3, 3)) for i in range(equation.count(",") + 1)]
    model = writer.model(writer.op("Einsum", *names, name="y", equation=equation))
    canonicalise(model)
    with pytest.raises(UnsupportedError, match="equation"):
        lower(model)


HEADS: list[dict[str, Any]] = [
    {"q": (2, 4, 5, 8), "k": (2, 4, 7, 8), "v": (2, 4, 7, 6)},
    {"q": (2, 4, 5, 8), "k": (2, 2, 7, 8), "v": (2, 2, 7, 8)},
    {"q": (2, 5, 32), "k": (2, 7, 16), "v": (2, 7, 16), "q_num_heads": 4, "kv_num_heads": 2},
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"scale": 0.3, "softcap": 2.0},
    {"is_causal": 1},
    {"mask": (5, 7)},
    {"mask": (2, 1, 5, 7), "softcap": 1.5},
]


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("options", OPTIONS)
def test_attention(heads: dict[str, Any], options: dict[str, Any]) -> None:
    """Against its formula; ONNX's own cases run through the whole backend too."""
    options, heads = dict(options), dict(heads)
    writer = Writer(opset=23)
    names = [writer.input(name, heads.pop(name)) for name in "qkv"]
    mask = options.pop("mask", None)
    names += [] if mask is None else [writer.input("mask", mask)]
    model = writer.model(writer.op("Attention", *names, name="y", **options, **heads))
    inputs = random_inputs(model)
    canonicalise(model)
    result = interpreter.run(lower(model), inputs)["y"]
    np.testing.assert_allclose(result, attention_by_hand(inputs, heads, options), rtol=1e-4, atol=1e-5)


def attention_by_hand(inputs: Any, heads: dict[str, int], options: dict[str, Any]) -> Any:
    q, k, v = (inputs[name].astype(np.float64) for name in "qkv")
    if heads:
        numbers = (heads["q_num_heads"], heads["kv_num_heads"], heads["kv_num_heads"])
        q, k, v = (
            x.reshape(*x.shape[:2], number, -1).transpose(0, 2, 1, 3)
            for x, number in zip((q, k, v), numbers, strict=True)
        )
    k, v = (x.repeat(q.shape[1] // x.shape[1], axis=1) for x in (k, v))
    scores = q @ k.swapaxes(2, 3) * options.get("scale", q.shape[-1] ** -0.5)
    if "softcap" in options:
        scores = options["softcap"] * np.tanh(scores / options["softcap"])
    scores = scores + inputs.get("mask", 0)
    if options.get("is_causal"):
        scores = np.where(np.tri(*scores.shape[-2:], dtype=bool), scores, -np.inf)
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    y = powers / powers.sum(-1, keepdims=True) @ v
    return y.transpose(0, 2, 1, 3).reshape(y.shape[0], y.shape[2], -1) if heads else y


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize(
    ("left", "right"), [((2, 3, 16, 40), (2, 3, 40, 16)), ((5, 16, 8), (8, 30)), ((64, 1), (1, 9))]
)
def test_products_of_bytes_run_on_integers(left: tuple[int, ...], right: tuple[int, ...], dtype: str) -> None:
    writer = Writer()
    a, b = integer_input(writer, left, dtype, "a"), integer_input(writer, right, dtype, "b")
    scale = 0.02 * left[-1] ** 0.5
    y = writer.quantize(writer.op("MatMul", a, b), scale, 100 if dtype == "uint8" else -20, dtype, name="y")
    [step] = assert_within_one_step(writer, y, ["MatMul"]).steps
    assert isinstance(step, MatMul) and step.requantize is not None


def test_a_product_of_itself_and_a_relu_behind_it() -> None:
    writer = Writer()
    x = integer_input(writer, (20, 20))
    y = writer.quantize(writer.op("Relu", writer.op("MatMul", x, x)), 0.0917, 3, name="y")
    assert_within_one_step(writer, y, ["MatMul"])


@pytest.mark.parametrize(("inner", "fits"), [(131071, True), (131072, False)])
def test_a_product_that_could_overflow_stays_float(inner: int, fits: bool) -> None:
    """Uint8 around 128 lies up to 128 from it: 2^14 * 2^17 is 2^31."""
    writer = Writer()
    a, b = integer_input(writer, (1, inner), name="a"), integer_input(writer, (inner, 1), name="b")
    model = writer.model(writer.quantize(writer.op("MatMul", a, b), 5.0, 128, name="y"))
    canonicalise(model)
    program = lower(model)
    assert (len(program.steps) == 1) == fits
    assert any("could overflow" in note for note in program.notes) != fits
