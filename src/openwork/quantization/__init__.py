"""From a float graph to one that runs in integers: observe ranges on data, choose a strategy, quantize."""

from openwork.quantization.calibrate import calibrate, observers
from openwork.quantization.calibration import (
    KL,
    METHODS,
    MSE,
    CalibrationTable,
    MinMax,
    MovingAverage,
    Observer,
    Percentile,
    Range,
)
from openwork.quantization.integer_operators import IntegerForm, integer_form
from openwork.quantization.layers import QuantizedLayer, quantized_layers
from openwork.quantization.mixed import decided, own_sqnr
from openwork.quantization.quantize import quantize
from openwork.quantization.runners import USUAL, calibrated_runners, choices
from openwork.quantization.strategies import STRATEGIES, Scheme, Strategy, for_onnxruntime_x86, strategy

__all__ = [
    "KL",
    "METHODS",
    "MSE",
    "STRATEGIES",
    "USUAL",
    "CalibrationTable",
    "IntegerForm",
    "MinMax",
    "MovingAverage",
    "Observer",
    "Percentile",
    "QuantizedLayer",
    "Range",
    "Scheme",
    "Strategy",
    "calibrate",
    "calibrated_runners",
    "choices",
    "decided",
    "for_onnxruntime_x86",
    "integer_form",
    "observers",
    "own_sqnr",
    "quantize",
    "quantized_layers",
    "strategy",
]
