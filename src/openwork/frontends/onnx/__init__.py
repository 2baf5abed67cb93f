"""ONNX files."""

from openwork.frontends.onnx.load import load_model

__all__ = ["load_model"]
