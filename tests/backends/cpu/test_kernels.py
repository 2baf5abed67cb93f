"""The list of kernels and the C that is generated from it."""

from openwork.backends.cpu.kernels import CSRC, INSTRUCTION_SETS, KERNELS, STEP_OF, kernels_header, kernels_tables


def test_each_kernel_has_a_source_and_each_source_is_listed_or_run_time():
    sources = {path.stem for path in (CSRC / "cpu").glob("*.c")}
    assert {kernel.name for kernel in KERNELS} | {"threads", "session", "select"} == sources


def test_each_kernel_is_declared_and_in_each_table():
    header, tables = kernels_header(), kernels_tables()
    for kernel in KERNELS:
        for isa in INSTRUCTION_SETS:
            assert f"ow_kernel {kernel.name}_{isa.name};" in header
            assert f".{kernel.name} = {kernel.name}_{isa.name}," in tables


def test_each_step_descriptor_exists():
    runtime = (CSRC / "cpu" / "runtime.h").read_text()
    for step in set(STEP_OF.values()):
        assert f"struct {step} {{" in runtime
