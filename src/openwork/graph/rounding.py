"""How a quantized model's integers round: a property of the model, which every backend obeys."""

from typing import Literal, get_args

import onnx_ir as ir

from openwork.errors import ModelError

# float32: as ONNX's QuantizeLinear means it. q31: as TFLite does. shift: by powers of two, as accelerators do.
Rounding = Literal["float32", "q31", "shift"]

# The key in a model's metadata_props, and so in its ONNX file.
ROUNDING = "openwork.rounding"


def rounding_of(model: ir.Model) -> Rounding:
    """The rounding a model asks for; `float32` where it says nothing.

    Raises: ModelError: it asks for one that does not exist.
    """
    name = model.metadata_props.get(ROUNDING, "float32")
    for known in get_args(Rounding):
        if name == known:
            return known
    raise ModelError(f"model: {ROUNDING} is {name!r}; choose one of {', '.join(get_args(Rounding))}")


def set_rounding(model: ir.Model, rounding: Rounding) -> None:
    """Let a model ask for a rounding; `float32`, ONNX's own, is asked for by saying nothing."""
    model.metadata_props.pop(ROUNDING, None)
    if rounding != "float32":
        model.metadata_props[ROUNDING] = rounding
