"""Layers whose own runtime quantizes their activations while it runs, and openwork does not."""

import json

import onnx_ir as ir

# The key in a model's metadata_props, and so in its ONNX file.
DYNAMIC = "openwork.dynamic"


def dynamic_layers(model: ir.Model) -> list[str]:
    """Names of the layers that have integer weights and are fed floats, which TFLite makes integers of as it runs.

    openwork computes them in floats, with the same weights: results lie some thousandths to hundredths of their range
    apart.
    """
    try:
        return [str(name) for name in json.loads(model.metadata_props.get(DYNAMIC, "[]"))]
    except (TypeError, ValueError):
        return []


def set_dynamic_layers(model: ir.Model, layers: list[str]) -> None:
    """Say which layers they are."""
    model.metadata_props.pop(DYNAMIC, None)
    if layers:
        model.metadata_props[DYNAMIC] = json.dumps(layers)


def dynamic_note(layer: str) -> str:
    """What is said about one of them."""
    return (
        f"{layer} computes in float32: TFLite would quantize what it is fed while it runs, and may give results some"
        " hundredths of their range apart"
    )
