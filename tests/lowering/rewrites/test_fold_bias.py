import numpy as np
import pytest

from openwork.lowering import Add, FullyConnected
from tests.lowering.test_integers import assert_within_one_step, int8_weight, integer_input
from tests.lowering.test_matrix import assert_agrees
from tests.models import Writer


@pytest.mark.parametrize("shape", [(5,), (1, 5), (1, 1, 5)])
@pytest.mark.parametrize("swapped", [False, True])
def test_an_added_row_is_the_bias(shape: tuple[int, ...], swapped: bool) -> None:
    writer = Writer()
    product = writer.op("MatMul", writer.input("x", (2, 3, 4)), writer.constant(writer.normal(4, 5)))
    operands = (product, writer.constant(writer.normal(*shape)))
    [step] = assert_agrees(writer.model(writer.op("Add", *(operands[::-1] if swapped else operands), name="y"))).steps
    assert isinstance(step, FullyConnected) and step.bias is not None


@pytest.mark.parametrize("shape", [(1,), (3, 1), (2, 3, 5), (1, 1, 1, 5)])
def test_what_is_no_row_is_added(shape: tuple[int, ...]) -> None:
    writer = Writer()
    product = writer.op("MatMul", writer.input("x", (2, 3, 4)), writer.constant(writer.normal(4, 5)))
    program = assert_agrees(writer.model(writer.op("Add", product, writer.constant(writer.normal(*shape)), name="y")))
    assert [type(step) for step in program.steps] == [FullyConnected, Add]


def test_a_product_that_others_read_too_stays() -> None:
    writer = Writer()
    product = writer.op("MatMul", writer.input("x", (2, 3, 4)), writer.constant(writer.normal(4, 5)))
    y = writer.op("Add", product, writer.constant(writer.normal(5)), name="y")
    program = assert_agrees(writer.model(y, product))
    assert [type(step) for step in program.steps] == [FullyConnected, Add]


def test_a_quantized_layer_with_its_row_runs_on_integers() -> None:
    """As transformers have it: three dimensions, MatMul and Add between the integers."""
    writer = Writer()
    weight, _ = int8_weight(writer, 32, 24, axis=1)
    product = writer.op("MatMul", integer_input(writer, (2, 40, 32)), weight)
    y = writer.op("Add", product, writer.constant(writer.normal(24)))
    [step] = assert_within_one_step(writer, writer.quantize(y, 0.0321, 128, name="y"), ["FullyConnected"]).steps
    assert isinstance(step, FullyConnected) and step.requantize is not None and step.bias is not None


def test_a_row_is_not_taken_twice() -> None:
    writer = Writer()
    product = writer.op("MatMul", writer.input("x", (2, 4)), writer.constant(np.eye(4, dtype=np.float32)))
    rows = [writer.constant(writer.normal(1, 1, 4)) for _ in range(2)]
    y = writer.op("Add", writer.op("Add", product, rows[0]), rows[1], name="y")
    program = assert_agrees(writer.model(y))
    assert sum(isinstance(step, Add) for step in program.steps) == 2  # three dimensions make no bias of two
