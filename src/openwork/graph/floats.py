"""Which floats a model was made of, besides float32, in which it is computed."""

from collections.abc import Sequence

import onnx_ir as ir

# The key in a model's metadata_props, and so in its ONNX file.
FLOATS = "openwork.floats"


def note_floats(model: ir.Model, types: Sequence[str]) -> None:
    """Remember types, such as `float16`, beside those that are noted already."""
    model.metadata_props[FLOATS] = ", ".join(sorted({*types, *floats_of(model)}))


def floats_of(model: ir.Model) -> list[str]:
    """The types that were noted."""
    return [name for name in model.metadata_props.get(FLOATS, "").split(", ") if name]
