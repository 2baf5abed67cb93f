"""What range a tensor has: observers that learn it from a stream of arrays, and the table of all of a network's."""

from openwork.quantization.calibration.histogram_observers import KL, MSE, Percentile
from openwork.quantization.calibration.observers import MinMax, MovingAverage, Observer, Range
from openwork.quantization.calibration.table import METHODS, CalibrationTable

__all__ = ["KL", "METHODS", "MSE", "CalibrationTable", "MinMax", "MovingAverage", "Observer", "Percentile", "Range"]
