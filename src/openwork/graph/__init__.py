"""What the in-memory network means: constants, shapes, quantization, cost, and what it computes."""

from openwork.graph.conv_transpose import TransposedAxis, settle_transposed_pads, transposed_axes
from openwork.graph.count import LayerCount, count, count_known, metadata, total, weight_of
from openwork.graph.dynamic import dynamic_layers, dynamic_note, set_dynamic_layers
from openwork.graph.evaluate import Evaluator, evaluate
from openwork.graph.floats import floats_of, set_floats
from openwork.graph.model import (
    IR_VERSION,
    NEWEST_OPSET,
    OLDEST_OPSET,
    Constants,
    constant,
    example_shape,
    operator_of,
    static_shape,
)
from openwork.graph.quant_params import QuantParams
from openwork.graph.rounding import ROUNDING, Rounding, rounding_of, set_rounding

__all__ = [
    "IR_VERSION",
    "NEWEST_OPSET",
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
    "count_known",
    "dynamic_layers",
    "dynamic_note",
    "evaluate",
    "example_shape",
    "floats_of",
    "metadata",
    "operator_of",
    "rounding_of",
    "set_dynamic_layers",
    "set_floats",
    "set_rounding",
    "settle_transposed_pads",
    "static_shape",
    "total",
    "transposed_axes",
    "weight_of",
]
