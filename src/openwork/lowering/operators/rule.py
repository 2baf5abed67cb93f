"""What a rule is: how one operator of ONNX becomes steps.

A rule reads a node and returns its step, or several of which the last writes the node's output, or None where the
result is one more constant of the draft. It raises `Unsupported` with the reason where it can do none of these.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from openwork.graph import static_shape
from openwork.lowering.draft import Draft
from openwork.lowering.steps import Step

Rule = Callable[[ir.Node, Draft], Step | Sequence[Step] | None]

FLOAT = ("float32",)
BYTES = ("int8", "uint8")
NUMBERS = ("float32", "int32", "int64")
ANY = ("float32", "int32", "int64", "bool", "int8", "uint8", "int16", "uint16")


@dataclass(frozen=True)
class Operator:
    """An operator that openwork takes.

    rule: lowers it. dtypes: those its activations, inputs and outputs alike, may have.
    many: whether outputs after the first may be used.
    """

    rule: Rule
    dtypes: Sequence[str] = FLOAT
    many: bool = False


def node_name(node: ir.Node) -> str:
    return node.name or ""


def rank_of(node: ir.Node) -> int:
    """Dimensions of the first input."""
    value = node.inputs[0]
    assert value is not None
    return len(static_shape(value))
