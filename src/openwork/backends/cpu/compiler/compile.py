"""C to objects, libraries and programs; what they become is kept under the hash of all that made it."""

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
    """Compile C files to objects, in parallel.

    Args:
        folder: where the objects are put, by number.
    Returns: one object for each source, in order.
    Raises: BuildError: the compiler fails; its first error is in the message.
    """
    stop = Event()
    outputs = [folder / f"{index}.o" for index in range(len(sources))]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        try:
            list(pool.map(lambda source, output: compile_object(compiler, source, output, stop=stop), sources, outputs))
        except BaseException:
            stop.set()
            raise
    return outputs


def compile_object(compiler: Compiler, source: Source, output: Path, *, stop: Event | None = None) -> None:
    """Compile one C file, or give up when `stop` is set. Raises: BuildError."""
    flags = ("-c", *C_FLAGS, *source.flags)
    if not _kept(key := _key(compiler, flags, *_read(source)), output):
        call(compiler, [*flags, *_paths(source), "-o", output.name], output, source.path.name, stop=stop)
        store(key, output.read_bytes())


def link_library(compiler: Compiler, objects: Sequence[Path], output: Path) -> None:
    """Link objects to a stripped shared library. Raises: BuildError."""
    flags = ("-shared", "-s", "-Wl,-z,defs", "-lpthread", "-lm")
    if not _kept(key := _key(compiler, (*flags, output.name), *(path.read_bytes() for path in objects)), output):
        names = [str(path.resolve()) for path in objects]
        call(compiler, [*flags[:3], *names, "-o", output.name, *flags[3:]], output, output.name, links=True)
        store(key, output.read_bytes())
    output.chmod(0o755)


def compile_executable(compiler: Compiler, source: Source, output: Path) -> None:
    """Compile a C or C++ file (no C++ standard library) to a stripped executable. Raises: BuildError."""
    flags = ("-O2", "-s", *source.flags, "-ldl", "-lpthread")
    if not _kept(key := _key(compiler, flags, *_read(source)), output):
        arguments = [*flags[:-2], *_paths(source), "-o", output.name, *flags[-2:]]
        call(compiler, arguments, output, output.name, links=True)
        store(key, output.read_bytes())
    output.chmod(0o755)


def _kept(key: str, output: Path) -> bool:
    """Whether the cache has had the output, which then is there."""
    content = load(key)
    if content is not None:
        output.write_bytes(content)
    return content is not None


def _key(compiler: Compiler, flags: Sequence[str], *contents: bytes) -> str:
    """The hash of all that makes an output: of each part, so that no two lists of parts look the same."""
    parts = [compiler.identity.encode(), *(flag.encode() for flag in flags), b"", *contents]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _read(source: Source) -> list[bytes]:
    """The text of a source, its name, and all headers that it may include."""
    headers = [header.read_bytes() for path in source.include for header in sorted(path.glob("*.h"))]
    return [source.path.name.encode(), source.path.read_bytes(), *headers]


def _paths(source: Source) -> list[str]:
    return [*(f"-I{path.resolve()}" for path in source.include), str(source.path.resolve())]
