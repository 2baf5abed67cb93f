"""C to objects, libraries and programs; objects are kept under the hash of all that made them."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from openwork.backends.cpu.compiler.cache import load, store
from openwork.backends.cpu.compiler.call import call
from openwork.backends.cpu.compiler.find import Compiler

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


def compile_objects(compiler: Compiler, sources: Sequence[Source], folder: Path) -> list[Path]:
    """Compile C files to objects, in parallel; what is in the cache already is not compiled again.

    Args:
        folder: where the objects are put, by number.
    Returns: one object for each source, in order.
    Raises: BuildError: the compiler fails; its first error is in the message.
    """
    headers = {include: _headers(include) for include in {source.include for source in sources}}
    stop = Event()

    def compiled(index: int) -> Path:
        source, output = sources[index], folder / f"{index}.o"
        key = _key(compiler, source, headers[source.include])
        content = load(key)
        if content is not None:
            output.write_bytes(content)
        else:
            compile_object(compiler, source, output, stop=stop)
            store(key, output.read_bytes())
        return output

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        try:
            return list(pool.map(compiled, range(len(sources))))
        except BaseException:
            stop.set()
            raise


def compile_object(compiler: Compiler, source: Source, output: Path, *, stop: Event | None = None) -> None:
    """Compile one C file that is not worth caching, or give up when `stop` is set. Raises: BuildError."""
    include = [f"-I{path.resolve()}" for path in source.include]
    arguments = ["-c", *C_FLAGS, *source.flags, *include, str(source.path.resolve()), "-o", output.name]
    call(compiler, arguments, output, source.path.name, stop=stop)


def link_library(compiler: Compiler, objects: Sequence[Path], output: Path) -> None:
    """Link objects to a stripped shared library. Raises: BuildError."""
    names = [str(path.resolve()) for path in objects]
    arguments = ["-shared", "-s", "-Wl,-z,defs", *names, "-o", output.name, "-lpthread", "-lm"]
    call(compiler, arguments, output, output.name, links=True)


def compile_executable(compiler: Compiler, sources: Sequence[Path], output: Path, *, flags: Sequence[str] = ()) -> None:
    """Compile C or C++ files (no C++ standard library) to a stripped executable. Raises: BuildError."""
    names = [str(path.resolve()) for path in sources]
    arguments = ["-O2", "-s", *flags, *names, "-o", output.name, "-ldl", "-lpthread"]
    call(compiler, arguments, output, output.name, links=True)


def _key(compiler: Compiler, source: Source, headers: bytes) -> str:
    """The hash of all that an object is made of."""
    key = hashlib.sha256()
    for part in (compiler.identity, *C_FLAGS, *source.flags, source.path.name):
        key.update(part.encode() + b"\0")
    key.update(source.path.read_bytes() + b"\0" + headers)
    return f"object {key.hexdigest()}"


def _headers(include: tuple[Path, ...]) -> bytes:
    """All headers that a source may include, one behind another."""
    return b"\0".join(header.read_bytes() for path in include for header in sorted(path.glob("*.h")))
