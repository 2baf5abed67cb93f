"""How each operator of TFLite becomes nodes of ONNX: one rule an operator, grouped by what they do."""

from collections.abc import Mapping

from openwork.frontends.tflite.operators import convolution, elementwise, images, moving, reducing
from openwork.frontends.tflite.operators.rule import Rule

# Each operator that openwork takes, by its name in TFLite's schema.
OPERATORS: Mapping[str, Rule] = {
    **convolution.OPERATORS,
    **elementwise.OPERATORS,
    **images.OPERATORS,
    **moving.OPERATORS,
    **reducing.OPERATORS,
}

__all__ = ["OPERATORS", "Rule"]
