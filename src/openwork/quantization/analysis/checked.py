"""Whether a quantized network still tells apart what the float one does: a look at a few batches."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

from openwork.errors import DataError
from openwork.graph import Evaluator
from openwork.quantization.analysis.coded import coded_tensors
from openwork.quantization.analysis.constant import ConstantPart, Watch, constant_parts
from openwork.quantization.analysis.error import ErrorSums
from openwork.quantization.analysis.rows import Values, float_runner, rows_of


@dataclass(frozen=True)
class Checked:
    """distances: cosine distance of each output, by name. constant: what no longer varies, inside or as an output."""

    distances: Mapping[str, float]
    constant: tuple[ConstantPart, ...]


def checked(model: ir.Model, quantized: ir.Model, batches: Iterable[Values]) -> Checked:
    """Hold each output and each tensor inside a quantized network against the float one's.

    Args: as for `analyse`; a few batches do. Raises: as `analyse`.
    """
    coded = {each.name: each for each in reversed(tuple(coded_tensors(model, quantized)))}
    rows = rows_of(model, quantized, coded)
    outputs = [str(value.name) for value in model.graph.outputs]
    joins = {row.tensor: row.joins for row in rows}
    watches = {name: Watch(name, joins.get(name), everywhere=name in outputs) for name in (*joins, *outputs)}
    sums = {name: ErrorSums(name) for name in outputs}
    references = Evaluator(model, list(joins), threads=2)
    run = float_runner(quantized, coded, rows, threads=2)
    batch = None
    for batch in batches:
        values, results = references.run(batch), run(batch)
        for name, watch in watches.items():
            watch.update(values[name], results[name])
        for name, each in sums.items():
            each.update(values[name], results[name])
    if batch is None:
        raise DataError("the data is empty; give at least one batch")
    return Checked({name: each.error().distance for name, each in sums.items()}, constant_parts([*watches.values()]))
