"""TFLite files, float and full-integer, as ONNX graphs with QuantizeLinear and DequantizeLinear."""

from openwork.frontends.tflite.load import load_tflite

__all__ = ["load_tflite"]
