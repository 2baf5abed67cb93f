"""Which floats a model was made of, besides float32, in which it is computed."""

from collections.abc import Sequence

import onnx_ir as ir

# The key in a model's metadata_props, and so in its ONNX file.
FLOATS = "openwork.floats"


def floats_of(model: ir.Model) -> list[str]:
    """Their names, such as `float16`; none where the model says nothing."""
    return [name for name in model.metadata_props.get(FLOATS, "").split(", ") if name]


def set_floats(model: ir.Model, names: Sequence[str]) -> None:
    """Let a model remember them; none by saying nothing."""
    model.metadata_props.pop(FLOATS, None)
    if names:
        model.metadata_props[FLOATS] = ", ".join(sorted(names))
