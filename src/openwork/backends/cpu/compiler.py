"""The C compiler: ziglang from pip, or OPENWORK_CC; objects are cached by the hash of all that made them.

The cache lies in OPENWORK_CACHE, else XDG_CACHE_HOME/openwork, else ~/.cache/openwork. It belongs to the user
alone (mode 0700): whoever can write there can run code.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from openwork.errors import BuildError
from openwork.files import write_whole

# Contraction would fuse multiplications and additions that the interpreter rounds separately. Integer sums wrap:
# the folded zero point may carry a partial sum out of range, and the rest of the sum carries it back.
C_FLAGS = (
    "-fwrapv",
    "-std=gnu11",
    "-O3",
    "-g0",
    "-fPIC",
    "-ffp-contract=off",
    "-fno-math-errno",
    "-fvisibility=hidden",
)


@dataclass(frozen=True)
class Source:
    """One C file to compile: its text, its name, extra flags, and the folders and texts of its headers."""

    path: Path
    flags: tuple[str, ...] = ()
    include: tuple[Path, ...] = ()


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
    if find_spec("ziglang") is None:
        raise BuildError("no C compiler: the package ziglang is missing; run pip install ziglang, or set OPENWORK_CC")
    command = (sys.executable, "-m", "ziglang", "cc", "-target", triple)
    return Compiler(command, f"ziglang {metadata.version('ziglang')} {triple}")


def cache_directory() -> Path:
    """The folder of cached objects, made if missing.

    Raises: BuildError: it belongs to somebody else or others may write there.
    """
    base = os.environ.get("OPENWORK_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(base) if base else home / "openwork"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        state = folder.stat()
    except OSError as error:
        raise BuildError(
            f"{folder}: no cache folder ({error.strerror}); set OPENWORK_CACHE to a writable one"
        ) from error
    if state.st_uid != os.getuid() or state.st_mode & 0o022:
        raise BuildError(f"{folder}: others may write to this cache; chmod 700 it or set OPENWORK_CACHE to your own")
    return folder.resolve()


def compile_objects(compiler: Compiler, sources: Sequence[Source]) -> list[Path]:
    """Compile C files to objects, in parallel; what is in the cache already is not compiled again.

    Returns: one object in the cache for each source, in order.
    Raises: BuildError: the compiler fails; its first error is in the message.
    """
    folder = cache_directory() / "objects"
    headers = {include: _headers(include) for include in {source.include for source in sources}}
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(lambda source: _compile(compiler, folder, source, headers[source.include]), sources))


def compile_object(compiler: Compiler, source: Source, output: Path) -> None:
    """Compile one C file that is not worth caching. Raises: BuildError."""
    include = [f"-I{path.resolve()}" for path in source.include]
    arguments = ["-c", *C_FLAGS, *source.flags, *include, str(source.path.resolve()), "-o", output.name]
    _run(compiler, arguments, output, source.path.name)


def link_library(compiler: Compiler, objects: Sequence[Path], output: Path) -> None:
    """Link objects to a stripped shared library. Raises: BuildError."""
    names = [str(path) for path in objects]
    arguments = ["-shared", "-s", "-Wl,-z,defs", *names, "-o", output.name, "-lpthread", "-lm"]
    _run(compiler, arguments, output, output.name)


def compile_executable(compiler: Compiler, sources: Sequence[Path], output: Path, *, flags: Sequence[str] = ()) -> None:
    """Compile C or C++ files (no C++ standard library) to a stripped executable. Raises: BuildError."""
    names = [str(path.resolve()) for path in sources]
    arguments = ["-O2", "-s", *flags, *names, "-o", output.name, "-ldl", "-lpthread"]
    _run(compiler, arguments, output, output.name)


def _compile(compiler: Compiler, folder: Path, source: Source, headers: bytes) -> Path:
    key = hashlib.sha256()
    for part in (compiler.identity, *C_FLAGS, *source.flags, source.path.name):
        key.update(part.encode() + b"\0")
    key.update(source.path.read_bytes() + b"\0" + headers)
    target = folder / f"{key.hexdigest()}.o"
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / f".{target.name}.{os.getpid()}.{id(source)}.o"
    try:
        compile_object(compiler, source, scratch)
        write_whole(target, scratch.read_bytes())
    finally:
        scratch.unlink(missing_ok=True)
    return target


def _headers(include: tuple[Path, ...]) -> bytes:
    """All headers that a source may include, one behind another."""
    return b"\0".join(header.read_bytes() for path in include for header in sorted(path.glob("*.h")))


def _run(compiler: Compiler, arguments: Sequence[str], output: Path, what: str) -> None:
    """Call the compiler in the output's folder; an empty or missing output is an error, whatever it returned."""
    zig_cache = cache_directory() / "zig"
    environment = os.environ | {
        "ZIG_GLOBAL_CACHE_DIR": str(zig_cache),
        "ZIG_LOCAL_CACHE_DIR": str(zig_cache),
    }
    try:
        done = subprocess.run(
            [*compiler.command, *arguments],
            cwd=output.parent,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise BuildError(f"{compiler.command[0]}: cannot be run ({error.strerror}); check OPENWORK_CC") from error
    if done.returncode != 0 or not output.is_file() or output.stat().st_size == 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()
        cause = lines[0].strip() if lines else f"exit status {done.returncode}"
        raise BuildError(f"C compiler failed on {what}: {cause}; check OPENWORK_CC and free disk space")
