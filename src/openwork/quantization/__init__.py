"""From a float graph to one that runs in 8-bit integers: observe ranges on data, then quantize."""

from openwork.quantization.calibrate import calibrate
from openwork.quantization.observers import MinMax, Observer, Percentile, Range
from openwork.quantization.quantize import quantize

__all__ = ["MinMax", "Observer", "Percentile", "Range", "calibrate", "quantize"]
