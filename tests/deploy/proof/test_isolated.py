"""Libraries that crash, hang and leave, in a process of their own."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from openwork.cli import main
from openwork.deploy import compile as compiling
from openwork.deploy import open_artifact, verify
from openwork.deploy.artifact import write_manifest
from openwork.deploy.compile import compile_model
from openwork.deploy.library import Library
from openwork.deploy.proof.isolated import IsolatedLibrary, on_each_instruction_set
from openwork.errors import ArtifactError, VerificationError
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.backends.cpu.programs import instruction_sets_here
from tests.deploy import tiny
from tests.models import Writer

TAPPED = "  if (tap) tap(user, 0, session->y);\n"


def broken(directory: Path, statement: str, before: str = TAPPED) -> Path:
    """An artifact whose library does something else behind its first step."""
    assert before in tiny.SOURCE
    artifact = tiny.write_artifact(directory)
    source = "#include <signal.h>\n" + tiny.SOURCE.replace(before, f"{before}  {statement}\n")
    (directory / "deploy.so").write_bytes(tiny.library(source))
    write_manifest(artifact)
    return directory


@pytest.fixture
def library(tmp_path: Path) -> Iterator[IsolatedLibrary]:
    with IsolatedLibrary(tiny.write_artifact(tmp_path / "deploy").directory, 1, spans={0: (0, 24)}) as library:
        yield library


def test_it_runs_as_the_library_does(library: IsolatedLibrary, tmp_path: Path) -> None:
    direct = Library(tmp_path / "deploy", 1)
    assert (library.inputs, library.outputs, library.isa) == (direct.inputs, direct.outputs, direct.isa)
    for seed in (0, 1):
        values = tiny.inputs(seed=seed)
        for result, right in zip(library.run(list(values.values())), tiny.expected(values), strict=True):
            assert result.dtype == right.dtype
            np.testing.assert_array_equal(result, right)


def test_a_tap_reads_and_writes_the_working_memory(library: IsolatedLibrary) -> None:
    import ctypes

    seen = []

    def tap(step: int, arena: int) -> None:
        seen.append((step, np.frombuffer(ctypes.string_at(arena, 24), np.float32).reshape(2, 3)))
        ctypes.memset(arena, 0, 24)

    y, _ = library.run(list(tiny.inputs().values()), tap)
    ((step, tapped),) = seen
    assert step == 0
    np.testing.assert_array_equal(tapped, y)


@pytest.mark.parametrize(
    ("statement", "how"),
    [
        ("*(volatile int *)0 = 1;", "died of SIGSEGV"),
        ("raise(SIGILL);", "died of SIGILL"),
        ("raise(SIGFPE);", "died of SIGFPE"),
        ("abort();", "died of SIGABRT"),
        ("exit(0);", "ended the process with status 0"),
        ("_exit(3);", "ended the process with status 3"),
    ],
)
def test_the_death_of_a_library_is_an_error_that_names_the_step(tmp_path: Path, statement: str, how: str) -> None:
    directory = broken(tmp_path / "deploy", statement)
    library = IsolatedLibrary(directory, 1, steps=["'multiply' (Binary)", "'largest' (Reduce)"])
    with pytest.raises(VerificationError, match=rf"step 'largest' \(Reduce\): the compiled library {how} on portable"):
        library.run(list(tiny.inputs().values()))
    assert library.is_closed
    with pytest.raises(ArtifactError, match="closed"):
        library.run(list(tiny.inputs().values()))
    with pytest.raises(VerificationError, match=f"step 1: the compiled library {how}"):
        verify(directory)


def test_a_library_that_hangs_is_an_error(tmp_path: Path) -> None:
    directory = broken(tmp_path / "deploy", "for (;;) pause();")
    library = IsolatedLibrary(directory, 1, patience=5)
    with pytest.raises(VerificationError, match="step 1: the compiled library did not answer within 5 s on portable"):
        library.run(list(tiny.inputs().values()))
    assert library.is_closed


def test_a_library_that_dies_when_it_is_opened_is_an_error(tmp_path: Path) -> None:
    directory = broken(tmp_path / "deploy", "abort();", "openwork_session *session = calloc(1, sizeof *session);\n")
    with pytest.raises(VerificationError, match="library: the compiled library died of SIGABRT"):
        IsolatedLibrary(directory, 1)


def test_a_library_that_dies_when_it_is_closed_is_an_error(tmp_path: Path) -> None:
    directory = tiny.write_artifact(tmp_path / "deploy").directory
    (directory / "deploy.so").write_bytes(tiny.library(tiny.SOURCE.replace("free(session);", "abort();")))
    with pytest.raises(VerificationError, match="died of SIGABRT"), IsolatedLibrary(directory, 1) as library:
        library.run(list(tiny.inputs().values()))


def test_verify_and_compare_tell_a_crash_and_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    directory = str(broken(tmp_path / "deploy", "*(volatile int *)0 = 1;"))
    for command in (["verify", directory], ["compare", directory, directory]):
        assert main(command) == 1
        assert "died of SIGSEGV on portable" in capsys.readouterr().err


def test_a_refusal_of_the_library_is_told(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="99 threads; choose 1 to 64"):
        IsolatedLibrary(tiny.write_artifact(tmp_path / "deploy").directory, 99)


def test_the_child_ends_with_the_library(library: IsolatedLibrary) -> None:
    process = library._process.pid
    os.kill(process, 0)
    library.close()
    library.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_a_child_that_is_killed_between_runs_is_noticed(library: IsolatedLibrary) -> None:
    os.kill(library._process.pid, signal.SIGKILL)
    with pytest.raises(VerificationError, match="died of SIGKILL"):
        library.run(list(tiny.inputs().values()))


# ---- instruction sets ----


def small(directory: Path) -> Path:
    w = Writer()
    model = w.model(w.conv(w.input("x", (1, 3, 6, 6)), 3, 5, 3))
    return compile_model(canonical(model), directory, target=load_target("cpu")).directory


def canonical(model: ir.Model) -> ir.Model:
    canonicalise(model)
    return model


def test_every_instruction_set_that_is_here_is_proved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = [name for name in load_target("cpu").instruction_sets if name in instruction_sets_here()]
    directory = small(tmp_path / "deploy")
    assert list(open_artifact(directory).proved) == here
    assert list(verify(directory).proved) == here
    monkeypatch.setenv("OPENWORK_ISA", "portable")
    assert verify(directory).proved == ("portable",)


def test_the_worst_instruction_set_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one set alone is wrong, compile and verify fail, and say which."""
    directory = small(tmp_path / "deploy")
    real = IsolatedLibrary.run

    def wrong(self, *arguments):
        results = real(self, *arguments)
        if self.isa == "portable":
            results[0] += np.float32(0.5)
        return results

    monkeypatch.setattr(IsolatedLibrary, "run", wrong)
    found = verify(directory)
    assert not found.passed
    assert found.outputs[0].max_abs_diff == pytest.approx(0.5, abs=0.1)
    with pytest.raises(VerificationError, match="off the reference on portable"):
        small(tmp_path / "again")


def test_a_set_that_no_machine_has_is_left_out(library: IsolatedLibrary) -> None:
    proved = []
    names = on_each_instruction_set(library, ("avx1024", "portable"), lambda: proved.append(library.isa))
    assert names == ("portable",) and proved == ["portable"]


def test_generated_code_that_crashes_is_no_end_of_compiling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = tiny.library(tiny.SOURCE.replace(TAPPED, TAPPED + "  *(volatile int *)0 = 1;\n"))
    real = compiling.build

    def build(program, folder, **options):
        records = real(program, folder, **options)
        (folder / "deploy.so").write_bytes(crash)
        (folder / "deploy.params").write_bytes(tiny.WEIGHTS.tobytes())
        return records

    monkeypatch.setattr(compiling, "build", build)
    w = Writer()
    a, b = w.input("a", (2, 3)), w.input("b", (2, 3), "uint8")
    y = w.op("Add", w.op("Mul", a, w.constant(tiny.WEIGHTS)), w.op("Cast", b, to=1), name="y")
    z = w.op("ReduceMax", b, w.constant(np.array([1])), name="z")
    model = canonical(w.model(y, z))
    with pytest.raises(VerificationError, match=r"step '.*: the compiled library died of SIGSEGV"):
        compile_model(model, tmp_path / "deploy", target=load_target("cpu"))
    assert list(tmp_path.iterdir()) == []
