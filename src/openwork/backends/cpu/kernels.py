"""The one list of kernels, and the C that declares them.

Listed means declared, compiled for every instruction set where a plan calls it, and tested: tests walk this table
too. A kernel's source is `csrc/cpu/<name>.c`; compiled for an instruction set it is `<name>_<instruction set>`. What
an instruction set adds to another for products of bytes alone changes few kernels: it takes the other's where no bytes
are multiplied, so that a library brings them once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from openwork.lowering import Widths

CSRC = Path(str(files("openwork"))) / "csrc"

# The integers that kernels compute with; wider ones are only moved, quantized and dequantized.
WIDTHS = Widths(activations=8, weights=8, accumulator=32)


@dataclass(frozen=True)
class InstructionSet:
    """name: as in OPENWORK_ISA. flags: what the C compiler needs to use it.

    beside: the set of which it is the same but for `dot4`; None for most.
    """

    name: str
    flags: tuple[str, ...]
    beside: str | None = None


_AVX2 = ("-mavx2", "-mfma")
_AVX512 = (*_AVX2, "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl")

INSTRUCTION_SETS = (
    InstructionSet("portable", ()),
    InstructionSet("avx2", _AVX2),
    InstructionSet("avx512", _AVX512),
    InstructionSet("avx512vnni", (*_AVX512, "-mavx512vnni"), beside="avx512"),
)


@dataclass(frozen=True)
class Kernel:
    """name: `<dtype>_<operator>_<pattern>`; step: the descriptor in runtime.h that it takes.

    dots: whether it multiplies bytes by `dot4` of vector.h.
    """

    name: str
    step: str
    dots: bool = False


KERNELS = (
    Kernel("f32_conv_rows1", "ow_f32_conv"),
    Kernel("f32_conv_rows4", "ow_f32_conv"),
    Kernel("u8_conv_rows1", "ow_u8_conv", dots=True),
    Kernel("u8_conv_rows2", "ow_u8_conv", dots=True),
    Kernel("u8_conv_rows4", "ow_u8_conv", dots=True),
    Kernel("u8_conv_rows1_fixed", "ow_u8_conv", dots=True),
    Kernel("u8_conv_rows2_fixed", "ow_u8_conv", dots=True),
    Kernel("u8_conv_rows4_fixed", "ow_u8_conv", dots=True),
    Kernel("f32_fully_connected_dense", "ow_fully_connected"),
    Kernel("f32_fully_connected_sparse", "ow_fully_connected"),
    Kernel("u8_fully_connected_dense", "ow_fully_connected", dots=True),
    Kernel("u8_fully_connected_sparse", "ow_fully_connected", dots=True),
    Kernel("x32_repack", "ow_repack"),
    Kernel("f32_max_pool", "ow_pool2d"),
    Kernel("u8_max_pool", "ow_pool2d"),
    Kernel("f32_average_pool", "ow_pool2d"),
    Kernel("u8_average_pool", "ow_pool2d"),
    Kernel("f32_mean_planar", "ow_mean"),
    Kernel("u8_mean_planar", "ow_mean"),
    Kernel("u8_mean_plain", "ow_mean"),
    Kernel("f32_unary", "ow_elementwise"),
    Kernel("f32_binary", "ow_elementwise"),
    Kernel("f32_compare", "ow_elementwise"),
    Kernel("i32_compare", "ow_elementwise"),
    Kernel("i64_compare", "ow_elementwise"),
    Kernel("i32_arithmetic", "ow_elementwise"),
    Kernel("i64_arithmetic", "ow_elementwise"),
    Kernel("b8_logic", "ow_elementwise"),
    Kernel("x8_select", "ow_elementwise"),
    Kernel("x16_select", "ow_elementwise"),
    Kernel("x32_select", "ow_elementwise"),
    Kernel("x64_select", "ow_elementwise"),
    Kernel("cast", "ow_cast"),
    Kernel("u8_lookup", "ow_lookup"),
    Kernel("u8_mul", "ow_elementwise"),
    Kernel("u8_add", "ow_map"),
    Kernel("u8_add_fixed", "ow_map"),
    Kernel("u8_rescale", "ow_map"),
    Kernel("u8_rescale_fixed", "ow_map"),
    Kernel("u8_quantize", "ow_map"),
    Kernel("u8_quantize_away", "ow_map"),
    Kernel("x16_quantize", "ow_map"),
    Kernel("x16_quantize_away", "ow_map"),
    Kernel("f32_dequantize", "ow_map"),
    Kernel("i16_dequantize", "ow_map"),
    Kernel("u16_dequantize", "ow_map"),
    Kernel("x8_flip", "ow_map"),
    Kernel("x8_copy", "ow_copy"),
    Kernel("x16_copy", "ow_copy"),
    Kernel("x32_copy", "ow_copy"),
    Kernel("x64_copy", "ow_copy"),
    Kernel("x8_take", "ow_take"),
    Kernel("x16_take", "ow_take"),
    Kernel("x32_take", "ow_take"),
    Kernel("x64_take", "ow_take"),
    Kernel("x32_take_planes", "ow_take_planes"),
    Kernel("x8_gather", "ow_gather"),
    Kernel("x8_take_along", "ow_take_along"),
    Kernel("f32_resize", "ow_resize"),
    Kernel("u8_resize", "ow_u8_resize"),
    Kernel("u8_resize_planes", "ow_u8_resize"),
    Kernel("f32_grid_sample", "ow_grid_sample"),
    Kernel("f32_to_planes", "ow_relayout"),
    Kernel("f32_from_planes", "ow_relayout"),
    Kernel("u8_to_planes", "ow_relayout"),
    Kernel("u8_from_planes", "ow_relayout"),
    Kernel("f32_softmax", "ow_softmax"),
    Kernel("f32_softmax_planes", "ow_softmax_planes"),
    Kernel("f32_normalize", "ow_normalize"),
    Kernel("f32_normalize_planes", "ow_normalize_planes"),
    Kernel("f32_reduce", "ow_reduce"),
    Kernel("i32_reduce", "ow_reduce"),
    Kernel("i64_reduce", "ow_reduce"),
    Kernel("u8_reduce", "ow_reduce"),
    Kernel("u8_sum", "ow_mean"),
    Kernel("f32_max_planar", "ow_mean"),
    Kernel("u8_max_planar", "ow_mean"),
    Kernel("f32_argmax", "ow_argmax"),
    Kernel("i32_argmax", "ow_argmax"),
    Kernel("i64_argmax", "ow_argmax"),
    Kernel("u8_argmax", "ow_argmax"),
    Kernel("f32_topk", "ow_topk"),
    Kernel("i32_topk", "ow_topk"),
    Kernel("i64_topk", "ow_topk"),
    Kernel("u8_topk", "ow_topk"),
    Kernel("f32_matmul", "ow_matmul"),
    Kernel("u8_matmul", "ow_matmul", dots=True),
    Kernel("u8_matmul_planes", "ow_matmul", dots=True),
    Kernel("x32_transpose", "ow_transpose"),
    Kernel("x32_replane", "ow_replane"),
    Kernel("u8_softmax_fixed", "ow_fixed_softmax"),
    Kernel("u8_softmax", "ow_integer_softmax"),
    Kernel("u8_softmax_planes", "ow_integer_softmax_planes"),
    Kernel("f32_quantized_softmax", "ow_integer_softmax"),
    Kernel("u8_normalize", "ow_integer_normalize"),
    Kernel("u8_normalize_planes", "ow_integer_normalize_planes"),
)

STEP_OF = {kernel.name: kernel.step for kernel in KERNELS}

RUNTIME_SOURCES = ("threads.c", "session.c", "select.c")


def compiled_for(kernel: Kernel, name: str) -> InstructionSet:
    """The instruction set whose code of a kernel the named one runs: its own, or that of the set it stands beside."""
    sets = {isa.name: isa for isa in INSTRUCTION_SETS}
    beside = sets[name].beside
    return sets[name if kernel.dots or beside is None else beside]


def kernels_header() -> str:
    """kernels.h: every kernel for every instruction set, and the struct that holds one set of them."""
    lines = [
        "/* kernels.h: generated from the list in backends/cpu/kernels.py. */",
        "#ifndef OPENWORK_KERNELS_H",
        "#define OPENWORK_KERNELS_H",
        "",
        '#include "runtime.h"',
        "",
        "struct ow_kernels {",
        "  const char *isa;",
        "  int (*runs_here)(void);",
        *(f"  ow_kernel *{kernel.name}; /* struct {kernel.step} */" for kernel in KERNELS),
        "};",
        "",
        "extern const struct ow_kernels *const ow_kernel_sets[]; /* best first; the last is NULL */",
        "",
        "const struct ow_kernels *ow_select_kernels(const char *wanted);",
        "",
        *(f"int ow_runs_{isa.name}(void);" for isa in INSTRUCTION_SETS),
        "",
        *(f"ow_kernel {kernel.name}_{isa.name};" for kernel in KERNELS for isa in INSTRUCTION_SETS),
        "",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def kernels_tables(names: Sequence[str], kernels: Sequence[Kernel]) -> str:
    """kernels.c: one table for each named instruction set, and the list of them, best first.

    Kernels that are not given are NULL in the tables, so that a library need not bring them.
    """
    lines = ["/* kernels.c: generated from the list in backends/cpu/kernels.py. */", '#include "kernels.h"', ""]
    for name in names:
        lines += [
            f"static const struct ow_kernels {name} = {{",
            f'  .isa = "{name}",',
            f"  .runs_here = ow_runs_{name},",
            *(f"  .{kernel.name} = {kernel.name}_{compiled_for(kernel, name).name}," for kernel in kernels),
            "};",
            "",
        ]
    sets = ", ".join(f"&{name}" for name in names)
    lines += [f"const struct ow_kernels *const ow_kernel_sets[] = {{{sets}, NULL}};", ""]
    return "\n".join(lines)
