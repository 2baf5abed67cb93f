"""How far quantization moves each tensor: by the layer's own error, and by all that has accumulated before it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import DataError, ModelError
from openwork.graph import Evaluator, QuantParams, operator_of
from openwork.lowering import interpreter
from openwork.lowering.lower import draft_program
from openwork.quantization.analysis.coded import Coded, coded_tensors
from openwork.quantization.analysis.error import Error, ErrorSums
from openwork.quantization.analysis.own_errors import own_errors_model

Values = Mapping[str, NDArray[Any]]
Runner = Callable[[Values], Values]


@dataclass(frozen=True)
class LayerError:
    """What quantization did to one layer.

    name, operator: of the float graph. tensor: the one compared: the layer's output, behind its Relu or Clip.
    bits: of the tensor's integers; 32 where it stays float.
    own: the layer on the float network's own inputs, quantized. accumulated: in the whole quantized network.
    saturation: share of the float network's values that lie outside what the integers can be.
    """

    name: str
    operator: str
    tensor: str
    bits: int
    own: Error
    accumulated: Error
    saturation: float


@dataclass(frozen=True)
class Analysis:
    """layers: in graph order. outputs: accumulated error of each output of the network. batches: how many were run."""

    layers: tuple[LayerError, ...]
    outputs: Mapping[str, Error]
    batches: int

    @property
    def final_distance(self) -> float:
        """The largest cosine distance of any output."""
        return max(error.distance for error in self.outputs.values())


def analyse(
    model: ir.Model,
    quantized: ir.Model,
    batches: Iterable[Values],
    *,
    true_integers: bool = False,
    output: str | None = None,
    threads: int = 2,
) -> Analysis:
    """Hold a quantized network against the float one it was made from, tensor by tensor.

    Args:
        model: canonicalised, float.
        quantized: the same network with QuantizeLinear and DequantizeLinear; tensors keep their names, as
            `quantize` and onnxruntime name them.
        batches: {input name: array}; one at a time in memory.
        true_integers: run the quantized network in integers, by the interpreter, instead of in float arithmetic by
            onnxruntime ("fake" quantization).
        output: the tensor whose error is final; every output of the network if None.
        threads: of onnxruntime.
    Raises: ModelError: the two are not the same network, the first is quantized, or one of them gives NaN or
        infinity where the other does not. DataError: no batch.
    """
    if any(operator_of(node) == "QuantizeLinear" for node in model.graph):
        raise ModelError("the float model is quantized; give the float one first")
    _check_inputs(model, quantized)
    codings = tuple(coded_tensors(model, quantized))
    coded = {each.name: each for each in reversed(codings)}
    rows = _rows(model, quantized, coded)
    if not rows:
        raise ModelError("the quantized model has no tensor of the float one; quantize this very model")
    results_of = [str(value.name) for value in model.graph.outputs if not value.is_graph_input()]
    outputs = results_of if output is None else [output]
    known = {row.tensor for row in rows} | _names(quantized).keys() & set(results_of)
    for name in outputs:
        if name not in known:
            raise ModelError(f"output {name!r}: is no tensor of both models; choose from {', '.join(sorted(known))}")
    own_model, reads = own_errors_model(quantized, codings)
    references = Evaluator(model, [*(row.tensor for row in rows), *reads.values()], threads=threads)
    own = _float_runner(own_model, coded, rows, threads)
    run = _integer_runner(quantized, coded, rows) if true_integers else _float_runner(quantized, coded, rows, threads)
    count = 0
    finals = {name: ErrorSums(name) for name in outputs}
    for batch in batches:
        values, results = references.run(batch), run(batch)
        own_values = own({**batch, **{new: values[name] for new, name in reads.items()}})
        for row in rows:
            row.update(values[row.tensor], own_values[row.tensor], results[row.tensor])
        for name, sums in finals.items():
            sums.update(values[name], results[name])
        count += 1
    if count == 0:
        raise DataError("the data is empty; give at least one batch")
    return Analysis(tuple(row.result() for row in rows), {name: sums.error() for name, sums in finals.items()}, count)


def _check_inputs(model: ir.Model, quantized: ir.Model) -> None:
    theirs, ours = (
        ", ".join(f"{value.name} {value.dtype}{list(value.shape or ())}" for value in graph.inputs)
        for graph in (quantized.graph, model.graph)
    )
    if theirs != ours:
        raise ModelError(f"the quantized model takes {theirs}, the float one {ours}; quantize this very model")


def _names(model: ir.Model) -> dict[str, ir.Value]:
    """Every tensor that a node computes, by name."""
    return {str(value.name): value for node in model.graph for value in node.outputs}


@dataclass
class _Row:
    """A layer and what has been summed up about it."""

    name: str
    operator: str
    tensor: str
    params: QuantParams | None
    outside: int = 0

    def __post_init__(self) -> None:
        self.own, self.accumulated = ErrorSums(self.tensor), ErrorSums(self.tensor)

    def update(self, reference: NDArray[Any], own: NDArray[Any], result: NDArray[Any]) -> None:
        self.own.update(reference, own)
        self.accumulated.update(reference, result)
        if self.params is not None:
            low, high = _representable(self.params)
            if reference.min() < low or reference.max() > high:
                self.outside += int(np.count_nonzero((reference < low) | (reference > high)))

    def result(self) -> LayerError:
        return LayerError(
            self.name,
            self.operator,
            self.tensor,
            32 if self.params is None else self.params.bits,
            self.own.error(),
            self.accumulated.error(),
            self.outside / max(self.own.count, 1),
        )


def _representable(params: QuantParams) -> tuple[float, float]:
    """What rounds to an integer without being clipped."""
    scale, zero = params.scale.item(), params.zero_point.item()
    return (params.low - zero - 0.5) * scale, (params.high - zero + 0.5) * scale


def _rows(model: ir.Model, quantized: ir.Model, coded: Mapping[str, Coded]) -> list[_Row]:
    """A row for each float tensor that both networks have, but for those that a Relu or Clip takes in."""
    theirs = _names(quantized)
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
        rows.append(_Row(layer.name or "", operator_of(layer), name, coded[name].params if name in coded else None))
    return rows


def _is_taken_in(value: ir.Value, coded: Mapping[str, Coded]) -> bool:
    users = [use.node for use in value.uses()]
    bounded = len(users) == 1 and operator_of(users[0]) in ("Relu", "Clip") and users[0].inputs[0] is value
    return bounded and str(value.name) not in coded and str(users[0].outputs[0].name) in coded


def _float_runner(quantized: ir.Model, coded: Mapping[str, Coded], rows: Sequence[_Row], threads: int) -> Runner:
    """The quantized network on onnxruntime; tensors by their names in the float network."""
    names = {row.tensor: coded[row.tensor].dequantized if row.tensor in coded else row.tensor for row in rows}
    evaluator = Evaluator(quantized, list(names.values()), threads=threads)

    def run(batch: Values) -> Values:
        values = evaluator.run(batch)
        return {**values, **{tensor: values[name] for tensor, name in names.items()}}

    return run


def _integer_runner(quantized: ir.Model, coded: Mapping[str, Coded], rows: Sequence[_Row]) -> Runner:
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
        return {**values, **reals}

    return run
