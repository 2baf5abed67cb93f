"""How wide the integers are that a backend computes with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Widths:
    """In bits. A step that needs wider integers stays float.

    activations, weights: 8 or 16. accumulator: 32, or 64 where the proof for 32 fails.
    """

    activations: int = 16
    weights: int = 16
    accumulator: int = 64


# What the interpreter computes with.
WIDEST = Widths()
