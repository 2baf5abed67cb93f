"""What to cut in which layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn

from openwork.errors import ModelError, PatternError
from openwork.sparsity import UNSTRUCTURED, Pattern

Layer = nn.Conv2d | nn.Linear
# The name of a layer, the name of a module (all layers inside it), or a type of layer.
LayerKey = str | type[nn.Module]


@dataclass(frozen=True)
class Cut:
    """How many of a layer's weights become zero, as a fraction in [0, 1), and where the zeros may lie."""

    sparsity: float
    pattern: Pattern = UNSTRUCTURED

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise PatternError(f"cut: sparsity {self.sparsity:g} lies outside [0, 1); write for example 0.9")


def choose_cuts(
    model: nn.Module,
    default: Cut,
    *,
    overrides: Mapping[LayerKey, Cut] | None = None,
    exclude: Sequence[LayerKey] = (),
) -> dict[str, Cut]:
    """Which layers to cut and how: every Conv2d and Linear but the first convolution and depthwise ones.

    Those two kinds have few weights, each of which matters much.

    Args:
        default: the cut of every layer without an override.
        overrides: other cuts; of several that match a layer the last wins. A layer that is spared by default
            is cut only if its own full name is given.
        exclude: layers that stay dense, whatever else is said.
    Returns: cuts by the name of the layer, in the order of the model.
    Raises: ModelError: a key matches no layer of the model.
    """
    overrides = overrides or {}
    layers = cuttable_layers(model)
    for key in (*overrides, *exclude):
        if not any(_matches(key, name, layer) for name, layer in layers.items()):
            raise ModelError(f"{_written(key)}: matches no layer; choose from {', '.join(layers)}")

    spared = _spared_by_default(layers)
    cuts = {}
    for name, layer in layers.items():
        cut = None if name in spared else default
        for key, override in overrides.items():
            if _matches(key, name, layer) and (cut is not None or key == name):
                cut = override
        if cut is not None and not any(_matches(key, name, layer) for key in exclude):
            cuts[name] = cut
    return cuts


def cuttable_layers(model: nn.Module) -> dict[str, Layer]:
    """Every layer whose weight can be cut, by name, in the order of the model."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Layer)}


def _spared_by_default(layers: Mapping[str, Layer]) -> set[str]:
    convolutions = {name: layer for name, layer in layers.items() if isinstance(layer, nn.Conv2d)}
    depthwise = {name for name, layer in convolutions.items() if layer.groups == layer.in_channels > 1}
    return {*list(convolutions)[:1], *depthwise}


def _matches(key: LayerKey, name: str, layer: Layer) -> bool:
    if isinstance(key, str):
        return name == key or name.startswith(f"{key}.")
    return isinstance(layer, key)


def _written(key: LayerKey) -> str:
    return key if isinstance(key, str) else key.__name__
