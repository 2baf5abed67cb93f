"""The list of kernels and the C that is generated from it."""

import ctypes
import re
from dataclasses import replace

import pytest

from openwork.backends.cpu.build import library_sources
from openwork.backends.cpu.compiler import Source, compile_objects, find_compiler, link_library
from openwork.backends.cpu.kernels import CSRC, KERNELS, RUNTIME_SOURCES, kernels_tables
from openwork.errors import TargetError
from openwork.targets import load_target

VNNI = "-mavx512vnni"


def test_each_kernel_has_a_source_and_each_source_is_listed_or_run_time():
    sources = {path.stem for path in (CSRC / "cpu").glob("*.c")}
    assert {kernel.name for kernel in KERNELS} | {"threads", "session", "select"} == sources


def test_a_library_brings_the_instruction_sets_of_its_target(tmp_path):
    small = replace(load_target("cpu"), instruction_sets=("portable",))
    flags = {flag for source in library_sources(small, KERNELS, tmp_path) for flag in source.flags}
    assert flags == {"-DOW_ISA=portable"}
    assert "avx" not in kernels_tables(small.instruction_sets, KERNELS)


def test_a_library_brings_only_the_kernels_that_its_plan_calls(tmp_path):
    called = [kernel for kernel in KERNELS if kernel.name in ("f32_unary", "x8_copy")]
    target = load_target("cpu")
    sources = [source.path.stem for source in library_sources(target, called, tmp_path)]
    assert {name: sources.count(name) for name in sources if (CSRC / "cpu" / f"{name}.c").exists()} == {
        **dict.fromkeys(("f32_unary", "x8_copy"), len(target.instruction_sets) - 1),  # VNNI makes no others of them
        **dict.fromkeys(("threads", "session", "select"), 1),
    }
    tables = kernels_tables(target.instruction_sets, called)
    assert [kernel.name for kernel in KERNELS if f".{kernel.name} =" in tables] == ["f32_unary", "x8_copy"]


def test_kernels_that_multiply_bytes_are_compiled_for_vnni_and_no_others(tmp_path):
    assert {kernel.name for kernel in KERNELS if kernel.dots} == {k.name for k in KERNELS if "dot4(" in text_of(k)}
    vnni = {
        source.path.stem for source in library_sources(load_target("cpu"), KERNELS, tmp_path) if VNNI in source.flags
    }
    assert vnni == {kernel.name for kernel in KERNELS if kernel.dots}


def test_a_library_for_vnni_alone_is_whole(tmp_path):
    only = replace(load_target("cpu"), instruction_sets=("avx512vnni",))
    flags = {
        source.path.stem: source.flags
        for source in library_sources(only, KERNELS, tmp_path)
        if "-mavx2" in source.flags
    }
    assert {name: VNNI in given for name, given in flags.items()} == {kernel.name: kernel.dots for kernel in KERNELS}
    tables = kernels_tables(only.instruction_sets, KERNELS)
    assert all(f" = {kernel.name}_avx512{'vnni' * kernel.dots}," in tables for kernel in KERNELS)


def text_of(kernel):
    """A kernel's source, with all that it includes but the header of vectors, which defines dot4."""
    seen, names = {}, [f"{kernel.name}.c"]
    while names:
        name = names.pop()
        if name not in seen and name not in ("vector.h", "openwork.h"):
            seen[name] = (CSRC / "cpu" / name).read_text()
            names += re.findall(r'#include "(\w+\.h)"', seen[name])
    return "".join(seen.values())


def test_an_instruction_set_without_kernels_is_refused(tmp_path):
    wrong = replace(load_target("cpu"), instruction_sets=("avx2", "sse9"))
    with pytest.raises(TargetError, match=r"no kernels for 'sse9'; choose from portable, avx2, avx512, avx512vnni$"):
        library_sources(wrong, KERNELS, tmp_path)


UNKNOWN = "the library has no such instruction set"
NONE = "this processor runs none of the library's instruction sets: best, plain"
# Instruction sets of a processor that lacks the best one: {best}, {plain} tell whether they run.
SETS = """
#include "kernels.h"
static int yes(void) {{ return 1; }}
static int no(void) {{ return 0; }}
static const struct ow_kernels best = {{.isa = "best", .runs_here = {best}}};
static const struct ow_kernels plain = {{.isa = "plain", .runs_here = {plain}}};
const struct ow_kernels *const ow_kernel_sets[] = {{&best, &plain, NULL}};
const struct ow_plan ow_plan = {{0}};
"""


@pytest.mark.parametrize(
    ("best", "wanted", "message"),
    [
        ("no", "best", "OPENWORK_ISA=best: this processor lacks it; choose from plain, or unset it"),
        ("yes", "mmx", f"OPENWORK_ISA=mmx: {UNKNOWN}; choose from best, plain, or unset it"),
        ("no", "x" * 999, f"OPENWORK_ISA={'x' * 32}: {UNKNOWN}; choose from plain, or unset it"),
        (None, None, NONE),
        (None, "best", NONE),
        ("no", None, "/none: "),  # a set was selected
        ("yes", "plain", "/none: "),
        ("no", "", "/none: "),
    ],
)
def test_why_no_kernels_are_selected(best, wanted, message, tmp_path, monkeypatch):
    target = load_target("cpu")
    (tmp_path / "sets.c").write_text(SETS.format(best=best or "no", plain="yes" if best else "no"))
    runtime = [s for s in library_sources(target, [], tmp_path) if s.path.name in RUNTIME_SOURCES]
    compiler = find_compiler(target.triple)
    sources = [*runtime, Source(tmp_path / "sets.c", (), runtime[0].include)]
    link_library(compiler, compile_objects(compiler, sources, tmp_path), tmp_path / "sets.so")
    monkeypatch.delenv("OPENWORK_ISA", raising=False)
    if wanted is not None:
        monkeypatch.setenv("OPENWORK_ISA", wanted)
    error = ctypes.create_string_buffer(256)
    session = ctypes.CDLL(str(tmp_path / "sets.so")).openwork_open(b"/none", 1, error, ctypes.c_size_t(256))
    assert (session, error.value.decode()[: len(message)]) == (0, message)
