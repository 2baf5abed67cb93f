"""Which C compiler is called."""

import os
import shutil
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from openwork.errors import BuildError


@dataclass(frozen=True)
class Compiler:
    """command: how it is called, as absolute paths. identity: what distinguishes its output, for cache keys."""

    command: tuple[str, ...]
    identity: str


def find_compiler(triple: str) -> Compiler:
    """OPENWORK_CC if it is set, else ziglang.

    Args:
        triple: what to compile for, as ziglang names it; OPENWORK_CC must compile for that by itself.
    Raises: BuildError: there is neither.
    """
    chosen = os.environ.get("OPENWORK_CC")
    if chosen:
        path = shutil.which(chosen)
        # A relative name is looked up in PATH, never in the current folder: no planted compiler is run.
        if path is None or ("/" not in chosen and not Path(path).is_absolute()):
            raise BuildError(f"OPENWORK_CC={chosen}: no such compiler; set it to the path of gcc or clang, or unset it")
        found = Path(path).resolve()
        return Compiler((str(found),), f"{found}:{found.stat().st_size}:{found.stat().st_mtime_ns}")
    package = find_spec("ziglang")
    if package is None or package.origin is None:
        raise BuildError("no C compiler: the package ziglang is missing; run pip install ziglang, or set OPENWORK_CC")
    program = Path(package.origin).parent / "zig"  # what `python -m ziglang` runs
    return Compiler((str(program), "cc", "-target", triple), f"ziglang {metadata.version('ziglang')} {triple}")
