"""ONNX files."""

from openwork.frontends.onnx.load import is_torch_file, load_model

__all__ = ["is_torch_file", "load_model"]
