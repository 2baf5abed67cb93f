"""onnxruntime as the peer: sessions set up for latency, and its own quantization of a float model."""

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from onnxruntime import quantization

from openwork.deploy import Latency

Inputs = Mapping[str, NDArray[np.generic]]


def onnxruntime_runner(model: ir.Model, inputs: Inputs, threads: int) -> Callable[[], object]:
    """One inference by onnxruntime, all its optimizations on."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        ir.to_proto(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = dict(inputs)
    return lambda: session.run(None, feed)


def quantized_by_onnxruntime(model: ir.Model, batches: Iterable[Inputs]) -> ir.Model:
    """onnxruntime's own static quantization of a float model, in the same numbers as ours.

    Q/DQ, weights int8 per channel, activations uint8, ranges by min-max.
    """
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "quantized.onnx"
        quantization.quantize_static(
            ir.to_proto(model),
            path,
            _Reader(iter(batches)),
            quant_format=quantization.QuantFormat.QDQ,
            per_channel=True,
            activation_type=quantization.QuantType.QUInt8,
            weight_type=quantization.QuantType.QInt8,
        )
        return ir.from_proto(onnx.load(path))


def fastest(latencies: Mapping[str, Latency]) -> tuple[str, Latency]:
    """The name and latency with the smallest median."""
    return min(latencies.items(), key=lambda item: item[1].median)


class _Reader(quantization.CalibrationDataReader):
    """Batches, in the form that onnxruntime asks for them."""

    def __init__(self, batches: Iterator[Inputs]):
        self._batches = batches

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        batch = next(self._batches, None)
        return None if batch is None else dict(batch)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to preprocess the model: canonical ones are."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
