"""How far quantization moved each layer of a network, and what it lost."""

from openwork.quantization.analysis.analyse import Analysis, LayerError, Worst, analyse
from openwork.quantization.analysis.checked import Checked, checked
from openwork.quantization.analysis.constant import ConstantPart, Watch, constant_parts
from openwork.quantization.analysis.error import Error

__all__ = [
    "Analysis",
    "Checked",
    "ConstantPart",
    "Error",
    "LayerError",
    "Watch",
    "Worst",
    "analyse",
    "checked",
    "constant_parts",
]
