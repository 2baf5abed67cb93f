"""From a float graph to one that runs in integers: observe ranges on data, choose a strategy, quantize."""

from openwork.quantization.calibrate import calibrate
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
from openwork.quantization.runners import calibrated_runners
from openwork.quantization.strategies import STRATEGIES, Scheme, Strategy, strategy

__all__ = [
    "KL",
    "METHODS",
    "MSE",
    "STRATEGIES",
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
    "decided",
    "integer_form",
    "own_sqnr",
    "quantize",
    "quantized_layers",
    "strategy",
]
