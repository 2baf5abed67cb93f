"""How far a result lies from its reference."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from sys import float_info
from typing import Any

import numpy as np
from numpy.typing import NDArray

# A tolerance that holds nothing: of indices, which the proof step by step decides.
ANYTHING = float_info.max


@dataclass(frozen=True)
class Difference:
    """One tensor, held against its reference.

    max_abs_diff, mean_abs_diff: of the elements, in the tensor's own unit.
    correct_ratio: share of elements within `tolerance` of the reference.
    distance: cosine distance, 0 (same direction) to 2.
    tolerance: largest difference that passes.
    """

    name: str
    max_abs_diff: float
    mean_abs_diff: float
    correct_ratio: float
    distance: float
    tolerance: float

    @property
    def passed(self) -> bool:
        return self.correct_ratio == 1.0

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "max_abs_diff": self.max_abs_diff,
            "mean_abs_diff": self.mean_abs_diff,
            "correct_ratio": self.correct_ratio,
            "distance": self.distance,
            "tolerance": self.tolerance,
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Difference":
        figures = ("max_abs_diff", "mean_abs_diff", "correct_ratio", "distance", "tolerance")
        return cls(str(entry["name"]), *(float(entry[figure]) for figure in figures))


def difference(name: str, result: NDArray[np.generic], reference: NDArray[np.generic], tolerance: float) -> Difference:
    """Hold `result` against `reference`, both of one shape. Infinity and NaN are only within the tolerance of
    themselves."""
    a, b = result.astype(np.float64).ravel(), reference.astype(np.float64).ravel()
    with np.errstate(invalid="ignore"):
        distances = np.where(_same(a, b), 0.0, np.abs(a - b))
        correct = distances <= np.where(np.isfinite(b), tolerance, 0.0)
    return Difference(
        name,
        float(distances.max(initial=0.0)),
        float(distances.mean()) if distances.size else 0.0,
        float(correct.mean()) if correct.size else 1.0,
        cosine_distance(a, b),
        float(tolerance),
    )


def worst(differences: Sequence[Difference]) -> Difference:
    """Of one tensor several times: one that fails before one that passes, then the farthest off."""
    return max(differences, key=lambda each: (-each.correct_ratio, not each.max_abs_diff <= inf, each.max_abs_diff))


def bounded(
    name: str, result: NDArray[np.generic], reference: NDArray[np.float64], bound: NDArray[np.float64]
) -> Difference:
    """As `difference`, with a bound for each element of its own; the tolerance is that where it is exceeded most."""
    a, b, allowed = result.astype(np.float64).ravel(), reference.ravel(), bound.ravel()
    with np.errstate(invalid="ignore", over="ignore"):
        away = np.where((a == b) | (result.ravel() == b.astype(np.float32)), 0.0, np.abs(a - b))
        correct = away <= allowed
        beyond = np.where(np.isnan(away), np.inf, away - allowed)
    found = difference(name, result, reference.reshape(result.shape), 0.0)
    worst = int(beyond.argmax()) if beyond.size else None
    return replace(
        found,
        correct_ratio=float(correct.mean()) if correct.size else 1.0,
        tolerance=0.0 if worst is None else float(allowed[worst]),
    )


def cosine_distance(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """1 - cos(angle between a and b), two arrays of one shape, computed in float64.

    Equal arrays have distance 0; zeros have distance 1 from anything else. What is infinite or NaN in both is left
    out; in one of them it gives NaN.
    """
    if np.array_equal(a, b):
        return 0.0
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    numbers = np.isfinite(x) & np.isfinite(y)
    if not (numbers | _same(x, y)).all():
        return float("nan")
    x, y = x[numbers], y[numbers]
    if np.array_equal(x, y):
        return 0.0
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    return max(0.0, 1.0 - float(x @ y) / lengths) if lengths else 1.0


def _same(a: NDArray[np.generic], b: NDArray[np.generic]) -> NDArray[np.bool_]:
    same: NDArray[np.bool_] = (a == b) | ((a != a) & (b != b))
    return same


def value_range(values: NDArray[np.generic]) -> float:
    """Width of the interval that holds every finite value and zero, in the values' own unit."""
    numbers = values[np.isfinite(values)]
    return float(numbers.max(initial=0)) - float(numbers.min(initial=0))
