"""What a rule is: how one operator of ONNX becomes steps.

A rule reads a node and returns its step, or several of which the last writes the node's output, or None where the
result is one more constant of the draft. It raises `Unsupported` with the reason where it can do none of these.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from openwork.graph import static_shape
from openwork.lowering.draft import Draft, input_name, output_name
from openwork.lowering.steps import Reshape, Step, Transpose

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


class Chain:
    """Steps behind one another: each reads what the one before it wrote, the last writes an output of the node."""

    def __init__(self, node: ir.Node, draft: Draft, source: str | None = None):
        """Begin at `source`, the first input of the node if None."""
        self._name = node_name(node)
        self._target = output_name(node)
        self._draft = draft
        self._steps: list[Step] = []
        self.at = input_name(node) if source is None else source

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what the chain has come to."""
        return self._draft.shape_of(self.at)

    @property
    def dtype(self) -> str:
        """Its dtype."""
        return self._draft.dtype_of(self.at)

    def then(self, step: Callable[[str, str, str], Step], shape: Sequence[int], dtype: str | None = None) -> "Chain":
        """Add a step.

        Args:
            step: makes it from its name, input and output.
            shape, dtype: of its result; the dtype of its input if None.
        """
        name = self._name if not self._steps else f"{self._name}/{len(self._steps)}"
        output = self._draft.add_buffer(f"{self._target}/{len(self._steps)}", tuple(shape), dtype or self.dtype)
        self._steps.append(step(name, self.at, output))
        self.at = output
        return self

    def reshape(self, *shape: int) -> "Chain":
        return self if shape == self.shape else self.then(Reshape, shape)

    def transpose(self, *perm: int) -> "Chain":
        shape = [self.shape[axis] for axis in perm]
        return self.then(lambda name, x, y: Transpose(name, x, y, perm), shape)

    def part(self) -> list[Step]:
        """The steps so far, where another step reads what they come to."""
        return self._steps

    def end(self, output: str | None = None) -> list[Step]:
        """The steps; the last writes `output`, the node's first output if None."""
        target = self._target if output is None else output
        if not self._steps:
            return [Reshape(self._name, self.at, target)]
        *before, last = self._steps
        del self._draft.buffers[last.output]
        return [*before, replace(last, output=target)]
