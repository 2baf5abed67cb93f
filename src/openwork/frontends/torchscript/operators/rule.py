"""The shape of a rule: how an operator of torch is drawn in ONNX."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
import torch

from openwork.frontends.torchscript.draft import Draft

Values = Sequence[ir.Value]


@dataclass(frozen=True)
class Traced:
    """A tensor that depends on an input: an example of it, and its reals in the graph."""

    example: torch.Tensor
    value: ir.Value


@dataclass(frozen=True)
class Call:
    """One operator at work.

    kind: `aten::relu`. name: of its layer. result: what torch computed, a tensor or a list of them.
    arguments: by name: `Traced` tensors, constant ones, numbers, lists of those, packed weights, None.
    paths: where arguments that are parameters lie in the module.
    """

    kind: str
    name: str
    arguments: Mapping[str, Any]
    paths: Mapping[str, str]
    result: Any

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    @property
    def operand(self) -> Any:
        """The first argument."""
        return next(iter(self.arguments.values()))

    @property
    def example(self) -> torch.Tensor:
        """The first argument as torch sees it."""
        operand = self.operand
        assert isinstance(operand, Traced)
        return operand.example

    def value(self, argument: Any, draft: Draft, name: str = "") -> ir.Value:
        """An argument in the graph: a number becomes a constant."""
        if isinstance(argument, Traced):
            return argument.value
        if isinstance(argument, torch.Tensor):
            return draft.tensor(argument, name or f"{self.name}.constant")
        return draft.constant(np.asarray(argument, dtype_of(self.result)), name or f"{self.name}.constant")

    def parameter(self, argument: str, draft: Draft) -> ir.Value | None:
        """An optional tensor, called as in the module."""
        tensor = self.arguments[argument]
        if tensor is None:
            return None
        return self.value(tensor, draft, self.paths.get(argument, f"{self.name}.{argument}"))


# Draws an operator in floats and returns its results. Around it, operands come out of a DequantizeLinear and results
# go through a QuantizeLinear, where torch has integers.
Rule = Callable[[Call, Draft], Values]


def dtype_of(tensor: torch.Tensor) -> np.dtype[Any]:
    """The dtype of a tensor's reals."""
    return np.dtype(np.float32) if tensor.is_quantized else torch.empty(0, dtype=tensor.dtype).numpy().dtype


def with_relu(rule: Rule) -> Rule:
    def with_relu(call: Call, draft: Draft) -> Values:
        return draft.node("Relu", rule(call, draft), name=f"{call.name}.relu")

    return with_relu


def reshaped(x: ir.Value, call: Call, draft: Draft, *, name: str) -> Values:
    return draft.node("Reshape", [x, draft.integers(call.result.shape, f"{name}.shape")], name=name)
