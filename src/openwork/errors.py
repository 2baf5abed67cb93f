"""The exception tree. Every message is one line that names the object, the reason and the remedy.

    OpenworkError
    ├── ModelError            a model file or graph is broken, or holds what no model may hold (NaN weights)
    │   └── UnsupportedError  the model is sound, but has operators openwork does not take; lists all of them
    ├── DataError             an input file or array: missing, unreadable, wrong name, dtype or shape
    ├── PatternError          weights or a mask do not have the pattern they claim to have
    ├── CalibrationError      calibration data is empty, not finite, or does not fit the model
    ├── TargetError           a target that does not exist, or whose description is invalid
    ├── BuildError            the C compiler is missing or failed; a plan that cannot be built
    ├── ArtifactError         an artifact is incomplete, changed, from another version, or cannot be written
    └── VerificationError     results differ from the reference by more than the tolerance

Command line: `ModelError` to `ArtifactError` exit with 2, `VerificationError` with 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

# Characters of a message. Names come from files, which may give them any length.
_LONGEST = 1000


class OpenworkError(Exception):
    """Base of everything that openwork raises on purpose. A message is cut in the middle where it is too long."""

    def __init__(self, message: str):
        super().__init__(message if len(message) <= _LONGEST else f"{message[:600]} [...] {message[-390:]}")


class ModelError(OpenworkError):
    """A model file or graph is broken, or holds what a model may not hold."""


@dataclass(frozen=True)
class UnsupportedNode:
    """One node that cannot be taken: its name, its operator and why."""

    name: str
    operator: str
    reason: str


class UnsupportedError(ModelError):
    """The model has nodes openwork does not take; `nodes` lists all of them."""

    def __init__(self, nodes: Sequence[UnsupportedNode]):
        self.nodes = tuple(nodes)
        listed = "; ".join(f"{node.operator} {node.name!r}: {node.reason}" for node in self.nodes)
        count = f"{len(self.nodes)} node" + ("s" if len(self.nodes) != 1 else "")
        Exception.__init__(self, f"{count} not supported: {listed}; replace them or export the model without them")


class DataError(OpenworkError):
    """An input file or array is missing, unreadable, or has the wrong name, dtype or shape."""


class PatternError(OpenworkError):
    """Weights or a mask do not have the pattern they claim to have."""


class CalibrationError(OpenworkError):
    """Calibration data is empty, not finite, or does not fit the model."""


class TargetError(OpenworkError):
    """A target does not exist, or its description is invalid."""


class BuildError(OpenworkError):
    """The C compiler is missing or failed, or a plan cannot be built."""


class ArtifactError(OpenworkError):
    """An artifact is incomplete, changed, from another version, or cannot be written."""


class VerificationError(OpenworkError):
    """Results differ from the reference by more than the tolerance."""


def one_line(error: BaseException) -> str:
    """The innermost cause of a library's exception, on one line of a bearable length, to quote as the reason."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
