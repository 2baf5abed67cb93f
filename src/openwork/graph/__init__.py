"""What the in-memory network means: constants, shapes, quantization, cost, and what it computes."""

from openwork.graph.conv_transpose import TransposedAxis, transposed_axes
from openwork.graph.count import LayerCount, count, metadata, total, weight_of
from openwork.graph.evaluate import Evaluator, evaluate
from openwork.graph.model import add_initializer, constant, set_constant_input, static_shape
from openwork.graph.quant_params import QuantParams
from openwork.graph.rounding import ROUNDING, Rounding, rounding_of, set_rounding

__all__ = [
    "ROUNDING",
    "Evaluator",
    "LayerCount",
    "QuantParams",
    "Rounding",
    "TransposedAxis",
    "add_initializer",
    "constant",
    "count",
    "evaluate",
    "metadata",
    "rounding_of",
    "set_constant_input",
    "set_rounding",
    "static_shape",
    "total",
    "transposed_axes",
    "weight_of",
]
