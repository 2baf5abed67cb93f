"""The C compiler, ziglang from pip or OPENWORK_CC, and the cache of what it made."""

from openwork.backends.cpu.compiler.cache import cache_directory, scratch_directory
from openwork.backends.cpu.compiler.compile import (
    Source,
    compile_executable,
    compile_object,
    compile_objects,
    link_library,
)
from openwork.backends.cpu.compiler.find import Compiler, find_compiler

__all__ = [
    "Compiler",
    "Source",
    "cache_directory",
    "compile_executable",
    "compile_object",
    "compile_objects",
    "find_compiler",
    "link_library",
    "scratch_directory",
]
