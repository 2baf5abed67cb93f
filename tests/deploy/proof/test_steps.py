"""The proof step by step: of networks in which integers are made of sums of floats."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from openwork.deploy.artifact import Artifact, write_manifest
from openwork.deploy.compile import compile_model
from openwork.deploy.library import Library
from openwork.deploy.proof.steps import FILE, first_wrong, read_steps, step_records
from openwork.deploy.proof.verify import verify
from openwork.deploy.tensors import read_tensor
from openwork.errors import ArtifactError
from openwork.lowering import lower
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.backends.cpu.programs import instruction_sets_here
from tests.models import Writer, quantized, residual_net


def islands() -> ir.Model:
    """Floats, then integers, then floats, then integers: planes and plain tensors; z is an output read again."""
    w = Writer()
    x = w.op("Relu", w.conv(w.input("x", (2, 3, 9, 7)), 3, 5, 3))
    x = w.requantized(x, 0.05, 128)
    x = w.op("Sigmoid", w.conv(x, 5, 6, 3), name="z")
    x = w.op("Flatten", w.op("GlobalAveragePool", w.requantized(x, 1 / 256)))
    model = w.model(w.gemm(x, 6, 4, name="y"), "z")
    canonicalise(model)
    return model


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return compile_model(islands(), tmp_path_factory.mktemp("steps") / "deploy", target=load_target("cpu"))


def described(artifact: Artifact, directory: Path, **changes: object) -> Artifact:
    """A copy of the artifact with another description, and a manifest that fits."""
    directory.mkdir(exist_ok=True)
    for path in artifact.directory.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    path = directory / "deploy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    copy = replace(artifact, directory=directory)
    write_manifest(copy)
    return copy


def test_every_step_is_held_from_the_files_alone(compiled: Artifact) -> None:
    found = verify(compiled.directory)
    assert found.passed
    expected = read_steps(compiled)
    assert found.steps == len(lower(islands()).steps) == len(expected)
    held = [each for each in expected if each.sha256 is None]
    assert 0 < len(held) < len(expected)
    floats = sum(len(each.value) + len(each.bound) for each in held)
    floats += sum(len(each.stand_in.pool) for each in expected if each.stand_in is not None)
    assert (compiled.directory / FILE).stat().st_size == 4 * floats


@pytest.mark.parametrize("isa", instruction_sets_here())
@pytest.mark.parametrize("threads", [1, 3])
def test_on_every_instruction_set(isa: str, threads: int, compiled: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENWORK_ISA", isa)
    assert verify(compiled.directory, threads=threads).passed


def test_the_next_steps_read_what_stands_in_for_a_result(compiled: Artifact) -> None:
    """If another value stood in for an open step's, the step that reads it would not agree."""
    expected, records = read_steps(compiled), step_records(compiled)
    library = Library(compiled.directory, 1)
    inputs = [read_tensor(compiled.directory, tensor) for tensor in compiled.inputs]
    names = [tensor.name for tensor in compiled.outputs]
    steps = lower(islands()).steps
    assert first_wrong(library, records, expected, inputs, names) is None
    for index, each in enumerate(expected):
        readers = [later for later, step in enumerate(steps) if records[index].output in step.reads]
        if each.stand_in is not None and readers:
            other = replace(each, stand_in=replace(each.stand_in, pool=each.stand_in.pool - np.float32(0.5)))
            wrong = first_wrong(library, records, [*expected[:index], other, *expected[index + 1 :]], inputs, names)
            assert wrong is not None
            assert wrong.record.index == readers[0]
    library.close()


def test_one_wrong_step_is_found_where_all_outputs_agree(compiled: Artifact, tmp_path: Path) -> None:
    description = json.loads((compiled.directory / "deploy.json").read_text())
    for index, entry in enumerate(description["proof"]):
        if "sha256" in entry:
            proof = [*description["proof"][:index], entry | {"sha256": "0" * 64}, *description["proof"][index + 1 :]]
            found = verify(described(compiled, tmp_path / "copy", proof=proof).directory)
            assert not found.passed
            assert found.wrong_step == description["steps"][entry["step"]]["name"]
            assert all(output.passed for output in found.outputs)


@pytest.mark.parametrize(
    "entry",
    [{}, {"step": 999, "elements": 1, "length": 1}, {"step": 0, "elements": -1}, {"step": 0, "pool": 1 << 40}, 7],
)
def test_a_damaged_description_is_refused(entry: object, compiled: Artifact, tmp_path: Path) -> None:
    artifact = described(compiled, tmp_path / "copy", proof=[entry])
    with pytest.raises(ArtifactError, match=r"deploy\.json: does not describe steps"):
        verify(artifact.directory)


def test_the_outputs_of_integers_say_all(tmp_path: Path) -> None:
    model = quantized(residual_net())
    canonicalise(model)
    artifact = compile_model(model, tmp_path / "deploy", target=load_target("cpu"))
    assert artifact.step_proof() == []
    assert (tmp_path / "deploy" / FILE).stat().st_size == 0
    assert verify(tmp_path / "deploy").steps == 0


def test_outputs_that_are_views_are_held(tmp_path: Path) -> None:
    """Of an input, of a constant and of another output: no kernel computes them, the caller's memory is written."""
    w = Writer()
    x, i = w.input("x", (2, 4)), w.input("i", (2, 4), "int8")
    shape = w.constant(np.array([8]))
    views = [w.op("Reshape", each, shape) for each in (x, i, w.op("MatMul", x, w.constant(w.normal(4, 4)), name="y"))]
    constants = [w.constant(w.normal(3)), w.constant(np.array([-3, 5], np.int8))]
    model = w.model("y", *views, *(w.op("Identity", each) for each in constants))
    canonicalise(model)
    artifact = compile_model(model, tmp_path / "deploy", target=load_target("cpu"))
    assert verify(artifact.directory).passed
