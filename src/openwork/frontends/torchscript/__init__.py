"""TorchScript, quantized by torch.ao.quantization or not, traced. Imports torch."""

from openwork.frontends.torchscript.files import load_torch_file
from openwork.frontends.torchscript.trace import from_torchscript

__all__ = ["from_torchscript", "load_torch_file"]
