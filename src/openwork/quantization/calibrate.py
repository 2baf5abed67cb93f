"""Learn the ranges of activations from data."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import CalibrationError
from openwork.graph import Evaluator
from openwork.quantization.calibration import METHODS, MSE, CalibrationTable, MinMax, Observer
from openwork.quantization.integer_operators import check_float
from openwork.quantization.plain_gemm import with_plain_gemms
from openwork.quantization.sharing import channels, observed_names
from openwork.quantization.strategies import Scheme


def calibrate(
    model: ir.Model,
    batches: Iterable[Mapping[str, NDArray[np.generic]]],
    observer: Callable[[], Observer] = MinMax,
    *,
    threads: int = 2,
) -> CalibrationTable:
    """Run a float model over data and observe every tensor whose range `quantize` needs.

    Args:
        model: canonicalised, float. Not modified.
        batches: {input name: array}, one at a time; memory does not grow with their number.
        observer: makes one observer a tensor: `MinMax`, or `lambda: Percentile(0.999)`.
        threads: of onnxruntime.
    Returns: tensors in graph order; its samples are the rows of the first input.
    Raises: CalibrationError: no batch, or a tensor became NaN or infinite. ModelError: the model is quantized.
    """
    check_float(model)
    graph = with_plain_gemms(model).graph
    names, parts = observed_names(graph), channels(graph)  # what `quantize` asks a table for
    observers = {name: observer() for name in (*names, *(part.name for part in parts))}
    inputs = {value.name for value in model.graph.inputs}
    taps = dict.fromkeys([*names, *(part.tensor for part in parts)])
    evaluator = Evaluator(model, taps=[name for name in taps if name not in inputs], threads=threads)
    samples = 0
    for index, batch in enumerate(batches):
        tensors = {**batch, **evaluator.run(batch)}
        tensors |= {part.name: np.take(tensors[part.tensor], [part.index], part.axis) for part in parts}
        for name, each in observers.items():
            array = tensors[name].astype(np.float32, copy=False)
            _check_finite(array, f"tensor {name!r}: NaN or infinite in batch {index}")
            each.update(array)
        samples += _rows(batch)
    if samples == 0:
        raise CalibrationError("the calibration set is empty; give at least one batch")
    return CalibrationTable(observer().method, samples, observers)


def observers(method: str, scheme: Scheme | None) -> Callable[[], Observer]:
    """Makes observers with their usual settings.

    Args:
        method: a key of `METHODS`.
        scheme: how the activations become integers, which `mse` and `kl` are about; 8 bits if None.
    Raises: CalibrationError: `kl` of 16 bits, whose levels are finer than any histogram, so that none loses anything.
    """
    if method == "mse" and scheme is not None:
        return lambda: MSE(2**scheme.bits, scheme.scale)
    if method == "kl" and scheme is not None and scheme.bits > 8:
        raise CalibrationError(
            f"calibrator 'kl': {scheme.bits} bits are finer than the histograms it compares; choose minmax or mse"
        )
    return METHODS[method]


def _check_finite(array: NDArray[np.float32], fault: str) -> None:
    """Both ends are finite if and only if all is: NaN is contagious."""
    if array.size and not np.isfinite([array.min(), array.max()]).all():
        raise CalibrationError(f"{fault}; correct the data or the weights")


def _rows(batch: Mapping[str, NDArray[np.generic]]) -> int:
    first = next(iter(batch.values()), None)
    return 1 if first is None or first.ndim == 0 else first.shape[0]
