"""A float network as every strategy would have it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import CalibrationError
from openwork.graph import Evaluator
from openwork.lowering import interpreter, lower
from openwork.quantization.calibration import CalibrationTable
from openwork.quantization.mixed import decided
from openwork.quantization.quantize import quantize
from openwork.quantization.strategies import strategy

Values = Mapping[str, NDArray[Any]]
Run = Callable[[Values], Values]


def calibrated_runners(
    model: ir.Model, table: CalibrationTable, names: Iterable[str], batches: Iterable[Values]
) -> Iterator[tuple[str, Run]]:
    """Quantize a network in several ways.

    Args:
        names: of strategies, as `strategy` takes them, with `:perlayer` or `:perchannel` behind them or not.
        batches: a few, for strategies that choose the bits of each layer.
    Returns: each name with a function from inputs to outputs, by name: onnxruntime in float arithmetic, or the
        interpreter in true integers where the name ends in `_t`.
    Raises: CalibrationError: as `strategy`, `decided` and `quantize`.
    """
    few = list(batches)
    for name in names:
        base, colon, granularity = name.partition(":")
        if colon and granularity not in ("perlayer", "perchannel"):
            raise CalibrationError(f"strategy {name!r}: {granularity!r} is neither perlayer nor perchannel")
        chosen = decided(strategy(base, granularity or None), model, table, few)  # type: ignore[arg-type]
        coded = model if chosen.activations is None else quantize(model, table, chosen)
        yield name, _in_integers(coded) if chosen.true_integers else Evaluator(coded, threads=2).run


def _in_integers(model: ir.Model) -> Run:
    program = lower(model)
    return lambda batch: interpreter.run(program, batch)
