"""No kernel ever meets a tensor without elements."""

import numpy as np
import pytest

from openwork.errors import OpenworkError
from openwork.lowering import lower
from openwork.passes import canonicalise
from tests.models import Writer


def applied(operator, shape, *constants, **attributes):
    """A model of one operator on an input of some shape."""
    writer = Writer()
    operands = [writer.constant(np.asarray(constant)) for constant in constants]
    return writer.model(writer.op(operator, writer.input("x", shape), *operands, name="y", **attributes))


def zeros(*shape):
    return np.zeros(shape, np.float32)


@pytest.mark.parametrize(
    ("operator", "shape", "constants", "attributes"),
    [
        ("Relu", (0, 3), (), {}),
        ("Relu", (3, 0), (), {}),
        ("Conv", (0, 3, 4, 4), (zeros(2, 3, 1, 1),), {}),
        ("Conv", (1, 0, 4, 4), (zeros(2, 0, 1, 1),), {}),
        ("Conv", (1, 3, 4, 4), (zeros(0, 3, 1, 1),), {}),
        ("Conv", (1, 3, 4, 4), (zeros(2, 3, 5, 5),), {}),
        ("MatMul", (2, 0), (zeros(0, 3),), {}),
        ("MatMul", (2, 4), (zeros(4, 0),), {}),
        ("Conv", (1, 3, 4, 4), (zeros(2, 3, 9, 9),), {}),
        ("MaxPool", (1, 3, 4, 4), (), {"kernel_shape": [5, 5]}),
        ("MaxPool", (1, 3, 4, 4), (), {"kernel_shape": [6, 6]}),
        ("AveragePool", (1, 3, 4, 4), (), {"kernel_shape": [1, 9]}),
        ("Expand", (1, 3), (np.array([0, 3]),), {}),
        ("Gather", (4, 3), (np.zeros(0, np.int64),), {}),
        ("Slice", (4, 3), (np.array([2]), np.array([2]), np.array([0])), {}),
    ],
)
def test_a_size_of_zero_or_below_is_refused(operator, shape, constants, attributes):
    with pytest.raises(OpenworkError, match=r"no elements|size below 1|too small"):
        model = applied(operator, shape, *constants, **attributes)
        canonicalise(model)
        lower(model)
