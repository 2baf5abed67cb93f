"""Rows that are said to be apart are: each alone, in onnxruntime, gives what it gives among others."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from numpy.typing import NDArray

from openwork.errors import OpenworkError
from openwork.graph import evaluate
from openwork.lowering import batch_of, lower
from openwork.passes import canonicalise
from tests.models import Writer
from tests.roads import inputs_of, roads

Arrays = dict[str, NDArray[np.generic]]

SOME = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def batch(model: ir.Model) -> int:
    canonicalise(model)
    return batch_of(lower(model))


def assert_near(result: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        atol = 1e-4 * max(1.0, float(np.abs(array.astype(np.float64)).max()))
        np.testing.assert_allclose(result[name], array, rtol=0, atol=atol, err_msg=name)


def rows_of(values: Arrays, places: Sequence[int]) -> Arrays:
    return {name: array[list(places)] for name, array in values.items()}


@SOME
@given(roads())
def test_rows_that_trade_places_give_results_that_do(model: ir.Model) -> None:
    """And a row among others that are all like it gives what it gives among others."""
    rows = batch(model)
    if not rows:
        return
    inputs = inputs_of(model)
    expected = evaluate(model, inputs)
    turned = [*range(1, rows), 0]
    assert_near(evaluate(model, rows_of(inputs, turned)), rows_of(expected, turned))
    for row in range(rows):
        alike = [row] * rows
        assert_near(evaluate(model, rows_of(inputs, alike)), rows_of(expected, alike))


def test_many_rows_at_once_are_each_row_alone() -> None:
    """Where a model can be made for three rows: constants of its reshapes may forbid that, or put rows elsewhere.
    That a slice takes the first row is not seen where there is no other."""
    seen = Counter[str]()

    @SOME
    @given(roads())
    def check(model: ir.Model) -> None:
        if any(node.op_type in ("Slice", "Split") for node in model.graph):
            return
        wide, one = model.clone(), model.clone()
        for each, rows in ((wide, 3), (one, 1)):
            shapes = {str(x.name): (rows, *x.shape.numpy()[1:]) for x in each.graph.inputs if x.shape is not None}
            try:
                canonicalise(each, shapes=shapes)
                expected = evaluate(each, inputs_of(each))
            except OpenworkError:
                return
            if each is wide:
                inputs, together = inputs_of(each), expected
        try:
            rows = batch_of(lower(one))
        except OpenworkError:
            return
        seen["apart" if rows else "mixed"] += 1
        if rows and all(len(array) == 3 for array in together.values()):
            alone = [evaluate(one, rows_of(inputs, [row])) for row in range(3)]
            assert_near({name: np.concatenate([each[name] for each in alone]) for name in together}, together)

    check()
    assert min(seen["apart"], seen["mixed"]) >= 5, seen


@SOME
@given(roads(mixing=False))
def test_networks_that_keep_rows_apart_are_known_to(model: ir.Model) -> None:
    """No operator is forgotten."""
    rows = batch(model)
    assert rows == next(x.shape.numpy()[0] for x in model.graph.inputs if x.shape is not None)


def softmax_over_rows(w: Writer, x: str) -> str:
    return w.op("Softmax", x, axis=0)


def attention_of_rows(w: Writer, x: str) -> str:
    """Rows are the sequence: [rows, 8] -> [1, rows, 8] and back."""
    tokens = w.op("Unsqueeze", x, w.constant(np.array([0])))
    scores = w.op("Softmax", w.op("MatMul", tokens, w.op("Transpose", tokens, perm=[0, 2, 1])), axis=-1)
    return w.op("Squeeze", w.op("MatMul", scores, tokens), w.constant(np.array([0])))


def attention_behind_a_reshape(w: Writer, x: str) -> str:
    tokens = w.op("Reshape", x, w.constant(np.array([1, -1, 8])))
    scores = w.op("Softmax", w.op("MatMul", tokens, w.op("Transpose", tokens, perm=[0, 2, 1])), axis=-1)
    return w.op("Reshape", w.op("MatMul", scores, tokens), w.constant(np.array([-1, 8])))


def mean_over_rows(w: Writer, x: str) -> str:
    return w.op("Sub", x, w.op("ReduceMean", x, w.constant(np.array([0]))))


def running_sum(w: Writer, x: str) -> str:
    return w.op("CumSum", x, w.constant(np.array(0)))


def product_from_the_left(w: Writer, x: str) -> str:
    rows = 2
    return w.op("MatMul", w.constant(w.normal(rows, rows)), x)


def constant_of_each_row(w: Writer, x: str) -> str:
    return w.op("Add", x, w.constant(w.normal(2, 8)))


def turned_around(w: Writer, x: str) -> str:
    ends = (np.array([-1]), np.array([-100]), np.array([0]), np.array([-1]))
    return w.op("Slice", x, *map(w.constant, ends))


def gathered(w: Writer, x: str) -> str:
    return w.op("Gather", x, w.constant(np.array([1, 0])), axis=0)


def other_rows(w: Writer, x: str) -> str:
    """Of the right size by chance: eight numbers of two rows as two rows of eight numbers of both."""
    return w.op("Reshape", w.op("Transpose", x, perm=[1, 0]), w.constant(np.array([2, 8])))


def constant_output(w: Writer, x: str) -> str:
    return w.op("Add", w.op("Mul", x, w.constant(np.float32(0))), w.constant(w.normal(2, 8)))


MIXED: list[Callable[[Writer, str], str]] = [
    softmax_over_rows,
    attention_of_rows,
    attention_behind_a_reshape,
    mean_over_rows,
    running_sum,
    product_from_the_left,
    constant_of_each_row,
    turned_around,
    gathered,
    other_rows,
    constant_output,
]


@pytest.mark.parametrize("network", MIXED, ids=lambda network: network.__name__)
def test_rows_that_are_mixed_are_no_batch(network: Callable[[Writer, str], str]) -> None:
    w = Writer()
    assert batch(w.model(w.op("Relu", network(w, w.input("x", (2, 8)))))) == 0


@pytest.mark.parametrize("network", [softmax_over_rows, attention_of_rows, attention_behind_a_reshape, mean_over_rows])
def test_one_row_is_no_batch_where_more_would_be_mixed(network: Callable[[Writer, str], str]) -> None:
    w = Writer()
    model = w.model(network(w, w.input("x", ("rows", 8))))
    assert batch(model) == 0


@pytest.mark.parametrize("rows", [1, 3])
def test_tokens_merged_with_rows_stay_apart(rows: int) -> None:
    """[rows, 5, 4] -> [rows * 5, 4] -> [rows, 5, 6], as many exporters write a layer on tokens; then heads."""
    w = Writer()
    x = w.input("x", (rows, 5, 4))
    flat = w.op("Reshape", x, w.constant(np.array([-1, 4])))
    y = w.op("Reshape", w.gemm(flat, 4, 6), w.constant(np.array([rows, 5, 6])))
    heads = w.op("Transpose", w.op("Reshape", y, w.constant(np.array([rows, 5, 2, 3]))), perm=[0, 2, 1, 3])
    scores = w.op("Softmax", w.op("MatMul", heads, w.op("Transpose", heads, perm=[0, 1, 3, 2])), axis=-1)
    assert batch(w.model(w.op("MatMul", scores, heads))) == rows


def test_a_constant_that_is_the_same_in_all_rows_keeps_them_apart() -> None:
    """As the class token of a transformer, expanded to the batch when the model was exported."""
    w = Writer()
    x = w.input("x", (2, 5, 4))
    token = w.constant(np.repeat(w.normal(1, 1, 4), 2, axis=0))
    assert batch(w.model(w.op("Concat", token, x, axis=1))) == 2


def test_inputs_and_outputs_of_different_sizes_have_no_batch() -> None:
    w = Writer()
    x, y = w.input("x", (2, 4)), w.input("y", (1, 4))
    assert batch(w.model(w.op("Add", x, y))) == 0
    w = Writer()
    x = w.input("x", (2, 4))
    assert batch(w.model(w.op("Relu", x), w.op("ReduceSum", x, keepdims=0))) == 0


def test_pixels_may_be_the_last_axis_but_one() -> None:
    """An image without channels becomes one with a channel: axes of size 1 on both sides of the batch."""
    w = Writer()
    x = w.input("x", (1, 36))
    image = w.op("Reshape", x, w.constant(np.array([1, 1, 6, 6])))
    y = w.op("Flatten", w.conv(image, 1, 4, 3))
    assert batch(w.model(w.gemm(y, 64, 3))) == 1
