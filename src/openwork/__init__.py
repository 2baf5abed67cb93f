"""openwork cuts zeros into trained neural networks and makes the zeros pay.

The public face is small: `InferenceSession` runs an artifact; everything else is reached through the
sub-packages, whose order from the ground up is drawn in docs/design.md. Names are loaded on first use, so
that `import openwork` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openwork.deploy import InferenceSession
    from openwork.errors import OpenworkError

__version__ = "0.1.0"

__all__ = ["InferenceSession", "OpenworkError", "__version__"]

_HOMES = {"InferenceSession": "openwork.deploy", "OpenworkError": "openwork.errors"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'openwork' has no attribute {name!r}")
