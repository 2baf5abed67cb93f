"""Learn the ranges of activations from data."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import CalibrationError
from openwork.graph import Evaluator
from openwork.quantization.integer_operators import alike, observed
from openwork.quantization.observers import MinMax, Observer, Range


def calibrate(
    model: ir.Model,
    batches: Iterable[Mapping[str, NDArray[np.generic]]],
    observer: Callable[[], Observer] = MinMax,
) -> dict[str, Range]:
    """Run a float model over data and observe every tensor whose range `quantize` needs.

    Args:
        model: canonicalised, float. Not modified.
        batches: {input name: array}, one at a time; memory does not grow with their number.
        observer: makes one observer a tensor: `MinMax`, or `lambda: Percentile(0.999)`.
    Returns: tensor name -> (low, high), in graph order.
    Raises: CalibrationError: no batch, or a tensor became NaN or infinite.
    """
    observers = {name: observer() for group in alike(model.graph) for name in observed(group)}
    inputs = {value.name for value in model.graph.inputs}
    evaluator = Evaluator(model, taps=[name for name in observers if name not in inputs])
    count = 0
    for batch in batches:
        tensors = {**batch, **evaluator.run(batch)}
        for name, each in observers.items():
            array = tensors[name].astype(np.float32, copy=False)
            if not np.isfinite(array).all():
                raise CalibrationError(
                    f"tensor {name!r}: NaN or infinite in batch {count}; correct the data or the weights"
                )
            each.update(array)
        count += 1
    if count == 0:
        raise CalibrationError("the calibration set is empty; give at least one batch")
    return {name: each.range() for name, each in observers.items()}
