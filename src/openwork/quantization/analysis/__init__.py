"""How far quantization moved each layer of a network."""

from openwork.quantization.analysis.analyse import Analysis, Error, LayerError, analyse

__all__ = ["Analysis", "Error", "LayerError", "analyse"]
