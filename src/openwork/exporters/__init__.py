"""Ways out of the graph: files that other tools read."""

from openwork.exporters.onnx import save_onnx

__all__ = ["save_onnx"]
