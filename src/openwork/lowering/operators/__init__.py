"""How each operator of ONNX becomes steps: one rule an operator, grouped as the steps are."""

from collections.abc import Mapping

from openwork.lowering.operators import (
    convolution,
    elementwise,
    matrix,
    moving,
    pooling,
    quantization,
    reducing,
)
from openwork.lowering.operators.rule import Operator

# Each operator that openwork takes, by its name in ONNX.
OPERATORS: Mapping[str, Operator] = {
    **convolution.OPERATORS,
    **elementwise.OPERATORS,
    **matrix.OPERATORS,
    **moving.OPERATORS,
    **pooling.OPERATORS,
    **quantization.OPERATORS,
    **reducing.OPERATORS,
}

__all__ = ["OPERATORS", "Operator"]
