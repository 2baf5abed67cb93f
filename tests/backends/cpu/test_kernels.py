"""The list of kernels and the C that is generated from it."""

from dataclasses import replace

import pytest

from openwork.backends.cpu.build import library_sources
from openwork.backends.cpu.kernels import CSRC, KERNELS, kernels_tables
from openwork.errors import TargetError
from openwork.targets import load_target


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
        **dict.fromkeys(("f32_unary", "x8_copy"), len(target.instruction_sets)),
        **dict.fromkeys(("threads", "session", "select"), 1),
    }
    tables = kernels_tables(target.instruction_sets, called)
    assert [kernel.name for kernel in KERNELS if f".{kernel.name} =" in tables] == ["f32_unary", "x8_copy"]


def test_an_instruction_set_without_kernels_is_refused(tmp_path):
    wrong = replace(load_target("cpu"), instruction_sets=("avx2", "sse9"))
    with pytest.raises(TargetError, match="no kernels for 'sse9'; choose from portable, avx2, avx512"):
        library_sources(wrong, KERNELS, tmp_path)
