"""How far quantization moves each tensor: by the layer's own error, and by all that has accumulated before it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

import numpy as np
import onnx_ir as ir

from openwork.errors import DataError, ModelError
from openwork.graph import Evaluator, QuantParams, operator_of
from openwork.quantization.analysis.coded import coded_tensors
from openwork.quantization.analysis.constant import ConstantPart, Watch, constant_parts
from openwork.quantization.analysis.error import Error, ErrorSums
from openwork.quantization.analysis.own_errors import own_errors_model
from openwork.quantization.analysis.rows import Row, Values, float_runner, integer_runner, names_of, rows_of


@dataclass(frozen=True)
class LayerError:
    """What quantization did to one layer.

    name, operator: of the float graph. tensor: the one compared: the layer's output, behind its Relu or Clip.
    bits: of the tensor's integers; 32 where it stays float.
    own: the layer on the float network's own inputs, quantized. accumulated: in the whole quantized network.
    saturation: share of the float network's values that lie outside what the integers can be.
    parts: of a Concat, the accumulated error of each input's part.
    """

    name: str
    operator: str
    tensor: str
    bits: int
    own: Error
    accumulated: Error
    saturation: float
    parts: Mapping[str, Error] = field(default_factory=dict)

    @property
    def worst(self) -> Error:
        """The accumulated error of all of the tensor, or of the worst of its parts."""
        return min((self.accumulated, *self.parts.values()), key=lambda error: error.psnr)


@dataclass(frozen=True)
class Worst:
    """Where an analysis found the least PSNR. part: of the tensor, as in `ConstantPart`; None if it is all of it."""

    tensor: str
    part: str | None
    error: Error

    def __str__(self) -> str:
        return repr(self.tensor) + ("" if self.part is None else f", {self.part}")


@dataclass(frozen=True)
class Analysis:
    """A whole network.

    layers: in graph order. outputs: accumulated error of each output of the network. batches: how many were run.
    constant: tensors and parts of tensors that no longer vary.
    """

    layers: tuple[LayerError, ...]
    outputs: Mapping[str, Error]
    batches: int
    constant: tuple[ConstantPart, ...] = ()

    @property
    def final_distance(self) -> float:
        """The largest cosine distance of any output."""
        return max(error.distance for error in self.outputs.values())

    @property
    def worst(self) -> Worst:
        """Of all outputs, of parts that are joined anywhere, and of what became constant, which has PSNR -inf."""
        lost = [Worst(each.tensor, each.part, Error(1.0, -inf, -inf, each.high - each.low)) for each in self.constant]
        parts = [Worst(layer.tensor, part, error) for layer in self.layers for part, error in layer.parts.items()]
        whole = [Worst(name, None, error) for name, error in self.outputs.items()]
        return min((*lost, *whole, *parts), key=lambda each: each.error.psnr)


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
    rows = rows_of(model, quantized, coded)
    if not rows:
        raise ModelError("the quantized model has no tensor of the float one; quantize this very model")
    results_of = [str(value.name) for value in model.graph.outputs if not value.is_graph_input()]
    outputs = results_of if output is None else [output]
    known = {row.tensor for row in rows} | names_of(quantized).keys() & set(results_of)
    for name in outputs:
        if name not in known:
            raise ModelError(f"output {name!r}: is no tensor of both models; choose from {', '.join(sorted(known))}")
    own_model, reads = own_errors_model(quantized, codings)
    references = Evaluator(model, [*(row.tensor for row in rows), *reads.values()], threads=threads)
    own = float_runner(own_model, coded, rows, threads)
    run = integer_runner(quantized, coded, rows) if true_integers else float_runner(quantized, coded, rows, threads)
    count = 0
    finals = {name: ErrorSums(name) for name in outputs}
    sums = [_Sums(row) for row in rows]
    joins = {row.tensor: row.joins for row in rows}
    watches = {name: Watch(name, joins.get(name), everywhere=name in results_of) for name in (*joins, *outputs)}
    for batch in batches:
        values, results = references.run(batch), run(batch)
        own_values = own({**batch, **{new: values[name] for new, name in reads.items()}})
        for each in sums:
            each.update(values, own_values, results)
        for name, final in finals.items():
            final.update(values[name], results[name])
        for name, watch in watches.items():
            watch.update(values[name], results[name])
        count += 1
    if count == 0:
        raise DataError("the data is empty; give at least one batch")
    return Analysis(
        tuple(each.result() for each in sums),
        {name: final.error() for name, final in finals.items()},
        count,
        constant_parts(list(watches.values())),
    )


def _check_inputs(model: ir.Model, quantized: ir.Model) -> None:
    theirs, ours = (
        ", ".join(f"{value.name} {value.dtype}{list(value.shape or ())}" for value in graph.inputs)
        for graph in (quantized.graph, model.graph)
    )
    if theirs != ours:
        raise ModelError(f"the quantized model takes {theirs}, the float one {ours}; quantize this very model")


class _Sums:
    """What is summed up about a row."""

    def __init__(self, row: Row):
        self._row = row
        self._own, self._accumulated = ErrorSums(row.tensor), ErrorSums(row.tensor)
        self._parts: dict[str, ErrorSums] = {}
        self._outside = 0

    def update(self, references: Values, own: Values, results: Values) -> None:
        """One batch. own: of each layer alone, results: of the quantized network."""
        name, params = self._row.tensor, self._row.params
        reference, result = references[name], results[name]
        self._own.update(reference, own[name])
        self._accumulated.update(reference, result)
        if self._row.joins is not None:
            pairs = zip(self._row.joins.of(reference), self._row.joins.of(result), strict=True)
            for part, right, value in ((part, right, value) for (part, right), (_, value) in pairs if right.size):
                self._parts.setdefault(part, ErrorSums(name)).update(right, value)
        if params is not None:
            low, high = _representable(params)
            if reference.min() < low or reference.max() > high:
                self._outside += int(np.count_nonzero((reference < low) | (reference > high)))

    def result(self) -> LayerError:
        row = self._row
        return LayerError(
            row.name,
            row.operator,
            row.tensor,
            32 if row.params is None else row.params.bits,
            self._own.error(),
            self._accumulated.error(),
            self._outside / max(self._own.count, 1),
            {part: sums.error() for part, sums in self._parts.items()},
        )


def _representable(params: QuantParams) -> tuple[float, float]:
    """What rounds to an integer without being clipped."""
    scale, zero = params.scale.item(), params.zero_point.item()
    return (params.low - zero - 0.5) * scale, (params.high - zero + 0.5) * scale
