"""Results held against their references, as a table and as JSON."""

from collections.abc import Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from openwork.cli.output import note, print_table
from openwork.deploy import Difference
from openwork.deploy.proof.difference import ANYTHING

if TYPE_CHECKING:  # it brings onnxruntime along, which verify does without
    from openwork.quantization.analysis import ConstantPart

HEADINGS = ("output", "result", "max abs diff", "mean abs diff", "correct ratio", "distance", "tolerance")


def print_differences(differences: Sequence[Difference]) -> None:
    print_table(HEADINGS, [_row(difference) for difference in differences], left=2)


def differences_json(differences: Sequence[Difference]) -> list[dict[str, Any]]:
    """The fields of each; JSON has no NaN and no infinity, so they become null."""
    return [
        {key: _finite(value) for key, value in difference.to_json().items()} | {"passed": difference.passed}
        for difference in differences
    ]


def note_constant(parts: "Sequence[ConstantPart]", path: str | None = None) -> None:
    """A warning for each part that a network, that of `path` if there are several, no longer tells apart."""
    for part in parts:
        note(f"warning: {'' if path is None else f'{path}: '}{part}; this branch is lost")


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value


def _row(difference: Difference) -> tuple[str, ...]:
    figures = (difference.max_abs_diff, difference.mean_abs_diff)
    return (
        difference.name,
        "PASSED" if difference.passed else "FAILED",
        *(f"{figure:.3g}" for figure in figures),
        f"{difference.correct_ratio:.6f}",
        f"{difference.distance:.2e}",
        f"{difference.tolerance:.3g}" if difference.tolerance < ANYTHING else "by its steps",
    )
