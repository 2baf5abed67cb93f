"""How far quantization moved each layer of a network."""

from openwork.quantization.analysis.analyse import Analysis, LayerError, analyse
from openwork.quantization.analysis.error import Error

__all__ = ["Analysis", "Error", "LayerError", "analyse"]
