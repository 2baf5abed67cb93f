"""The tensors that a float network and its quantized one have in common, and runs that give both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import ModelError
from openwork.graph import Evaluator, QuantParams, operator_of
from openwork.lowering import interpreter
from openwork.lowering.lower import draft_program
from openwork.quantization.analysis.coded import Coded
from openwork.quantization.analysis.constant import Joined, joined

Values = Mapping[str, NDArray[Any]]
Runner = Callable[[Values], Values]


@dataclass(frozen=True)
class Row:
    """A tensor of both networks.

    name, operator: of the layer of the float network that it comes from. tensor: its name there.
    params: how it is coded; None in floats. joins: what it is made of, if by a Concat.
    """

    name: str
    operator: str
    tensor: str
    params: QuantParams | None
    joins: Joined | None


def names_of(model: ir.Model) -> dict[str, ir.Value]:
    """Every tensor that a node computes, by name."""
    return {str(value.name): value for node in model.graph for value in node.outputs}


def rows_of(model: ir.Model, quantized: ir.Model, coded: Mapping[str, Coded]) -> list[Row]:
    """A row for each float tensor that both networks have, but for those that a Relu or Clip takes in."""
    theirs = names_of(quantized)
    rows = []
    for node in model.graph:
        value, layer = node.outputs[0], node
        name = str(value.name)
        if value.dtype != ir.DataType.FLOAT or not (name in coded or name in theirs) or _is_taken_in(value, coded):
            continue
        other = theirs[coded[name].dequantized if name in coded else name]
        if other.shape != value.shape:
            raise ModelError(
                f"tensor {name!r}: is {list(value.shape or ())} in the float model, {list(other.shape or ())} in the "
                "quantized one; quantize this very model"
            )
        source = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
        if source is not None and _is_taken_in(source.outputs[0], coded):
            layer = source
        params = coded[name].params if name in coded else None
        rows.append(Row(layer.name or "", operator_of(layer), name, params, joined(node)))
    return rows


def _is_taken_in(value: ir.Value, coded: Mapping[str, Coded]) -> bool:
    users = [use.node for use in value.uses()]
    bounded = len(users) == 1 and operator_of(users[0]) in ("Relu", "Clip") and users[0].inputs[0] is value
    return bounded and str(value.name) not in coded and str(users[0].outputs[0].name) in coded


def float_runner(quantized: ir.Model, coded: Mapping[str, Coded], rows: Sequence[Row], threads: int) -> Runner:
    """The quantized network on onnxruntime; tensors by their names in the float network."""
    names = {row.tensor: coded[row.tensor].dequantized if row.tensor in coded else row.tensor for row in rows}
    evaluator = Evaluator(quantized, list(names.values()), threads=threads)

    def run(batch: Values) -> Values:
        values = evaluator.run(batch)
        return {**{tensor: values[name] for tensor, name in names.items()}, **values}

    return run


def integer_runner(quantized: ir.Model, coded: Mapping[str, Coded], rows: Sequence[Row]) -> Runner:
    """The quantized network on the interpreter, in true integers; tensors as reals, by their float names."""
    program = draft_program(quantized)
    taps = {}
    for row in rows:
        at = coded.get(row.tensor)
        taps[row.tensor] = at.integers if at is not None else row.tensor
        if taps[row.tensor] not in program.buffers:
            raise ModelError(
                f"tensor {taps[row.tensor]!r}: the lowered network does not compute it; leave --integers out"
            )

    def run(batch: Values) -> Values:
        values = interpreter.run(program, batch, taps=[name for name in taps.values() if name not in program.outputs])
        reals = {}
        for tensor, name in taps.items():
            at = coded.get(tensor)
            reals[tensor] = values[name] if at is None else at.params.dequantize(values[name])
        return {**reals, **values}

    return run
