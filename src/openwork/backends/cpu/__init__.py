"""Native libraries for x86-64: planar layouts, kernels that follow the nonzeros, C that can be read."""

from openwork.backends.cpu.build import StepRecord, build, read_result, result_span, write_result
from openwork.backends.cpu.compiler import Source, compile_executable, find_compiler
from openwork.backends.cpu.kernels import CSRC, INSTRUCTION_SETS, WIDTHS

__all__ = [
    "CSRC",
    "INSTRUCTION_SETS",
    "WIDTHS",
    "Source",
    "StepRecord",
    "build",
    "compile_executable",
    "find_compiler",
    "read_result",
    "result_span",
    "write_result",
]
