"""What the in-memory network means: constants, shapes, quantization, cost, and what it computes."""

from openwork.graph.conv_transpose import TransposedAxis, settle_pads, transposed_axes
from openwork.graph.count import LayerCount, count, metadata, total, weight_of
from openwork.graph.evaluate import Evaluator, evaluate
from openwork.graph.model import OLDEST_OPSET, Constants, constant, static_shape
from openwork.graph.quant_params import QuantParams
from openwork.graph.rounding import ROUNDING, Rounding, rounding_of, set_rounding

__all__ = [
    "OLDEST_OPSET",
    "ROUNDING",
    "Constants",
    "Evaluator",
    "LayerCount",
    "QuantParams",
    "Rounding",
    "TransposedAxis",
    "constant",
    "count",
    "evaluate",
    "metadata",
    "rounding_of",
    "set_rounding",
    "settle_pads",
    "static_shape",
    "total",
    "transposed_axes",
    "weight_of",
]
