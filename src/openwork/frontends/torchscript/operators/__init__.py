"""What each operator of torch is in ONNX: one rule an operator, grouped by what they do."""

from collections.abc import Mapping

from openwork.frontends.torchscript.operators import elementwise, moving, reducing, weighted
from openwork.frontends.torchscript.operators.rule import Call, Rule, Traced

# Each operator of torch that openwork takes.
OPERATORS: Mapping[str, Rule] = {
    **elementwise.OPERATORS,
    **moving.OPERATORS,
    **reducing.OPERATORS,
    **weighted.OPERATORS,
}

__all__ = ["OPERATORS", "Call", "Rule", "Traced"]
