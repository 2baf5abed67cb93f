"""sympy is loaded when a size is computed with, not before.

onnx_ir imports it for the arithmetic of symbolic sizes, and it takes as long as all else that a small command does.

For the command line only: what other programs load, and when, is theirs to say.
"""

import importlib
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

# The second reads names of the first while it is loaded, so it waits too.
_DEFERRED = ("sympy", "onnx_ir._symbolic_shapes")

_lock = threading.RLock()


def defer_sympy() -> None:
    """Let the modules be loaded when one of their names is first asked for. Does nothing once onnx_ir is there."""
    if "onnx_ir" not in sys.modules and "sympy" not in sys.modules:
        for name in _DEFERRED:
            sys.modules[name] = _Deferred(name)


class _Deferred(ModuleType):
    """Stands for a module until it is used. Python's own `LazyLoader` loads on the import statement already."""

    def __init__(self, name: str):
        super().__init__(name)
        self.__spec__ = ModuleSpec(name, None)

    def __getattr__(self, name: str) -> Any:
        """Called for names that are not there: none of the module's is, before it is loaded."""
        with _lock:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
                self.__dict__.update(vars(importlib.import_module(self.__name__)))
        try:
            return vars(self)[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None
