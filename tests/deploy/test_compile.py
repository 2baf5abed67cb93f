import json
import os
import re
import signal
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from openwork.backends.cpu import StepRecord, read_result
from openwork.backends.cpu.params import write_params
from openwork.deploy import InferenceSession, open_artifact, verify
from openwork.deploy import compile as compiling
from openwork.deploy.artifact import write_manifest
from openwork.deploy.compile import compile_model
from openwork.deploy.proof import steps as proving
from openwork.deploy.tensors import read_tensor
from openwork.errors import ArtifactError, BuildError, ModelError, TargetError, UnsupportedError, VerificationError
from openwork.graph import evaluate, set_rounding
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from openwork.targets import Target, load_target
from tests.backends.cpu.programs import instruction_sets_here
from tests.models import Writer, conv_net, mobile_net, quantized, random_inputs, residual_net

CPU = load_target("cpu")


def canonical(model: ir.Model) -> ir.Model:
    canonicalise(model)
    return model


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture(scope="module")
def floats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("floats") / "deploy"
    compile_model(canonical(residual_net()), directory, target=CPU)
    return directory


@pytest.fixture(scope="module")
def integers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("integers") / "deploy"
    compile_model(canonical(quantized(residual_net())), directory, target=CPU)
    return directory


@pytest.mark.parametrize("network", [conv_net, residual_net, mobile_net])
def test_a_float_network_agrees_with_onnxruntime(tmp_path: Path, network: Callable[[], ir.Model]) -> None:
    model = canonical(network())
    artifact = compile_model(model, tmp_path / "deploy", target=CPU)
    assert artifact == open_artifact(tmp_path / "deploy")
    inputs = random_inputs(model, seed=5)
    with InferenceSession(tmp_path / "deploy") as session:
        (result,) = session.run(None, inputs)
    reference = evaluate(model, inputs)["y"]
    assert abs(result - reference).max() <= 1e-4 * np.ptp(reference)


@pytest.mark.parametrize("isa", instruction_sets_here())
@pytest.mark.parametrize("network", [residual_net, mobile_net])
def test_a_quantized_network_equals_the_interpreter_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Callable[[], ir.Model], isa: str
) -> None:
    model = canonical(quantized(network()))
    compile_model(model, tmp_path / "deploy", target=CPU)
    monkeypatch.setenv("OPENWORK_ISA", isa)
    program, inputs = lower(model), random_inputs(model, seed=5)
    with InferenceSession(tmp_path / "deploy") as session:
        assert session.isa == isa
        (result,) = session.run(None, inputs)
    np.testing.assert_array_equal(result, interpreter.run(program, inputs)["y"])


def test_channels_last_gives_the_same_answers_in_the_other_layout(tmp_path: Path) -> None:
    w = Writer()
    model = canonical(w.model(w.conv(w.input("x", (1, 3, 6, 8)), 3, 5, 3)))
    compile_model(model, tmp_path / "nchw", target=CPU)
    artifact = compile_model(model, tmp_path / "nhwc", target=CPU, layout="nhwc")
    assert (artifact.inputs[0].shape, artifact.outputs[0].shape) == ((1, 6, 8, 3), (1, 4, 6, 5))
    x = w.normal(1, 3, 6, 8)
    (first,) = InferenceSession(tmp_path / "nchw").run(None, {"x": x})
    (last,) = InferenceSession(tmp_path / "nhwc").run(None, {"x": x.transpose(0, 2, 3, 1)})
    np.testing.assert_array_equal(last, first.transpose(0, 2, 3, 1))


def test_the_test_vectors_come_from_the_seed_and_the_references_from_elsewhere(tmp_path: Path) -> None:
    model = canonical(residual_net())
    found = [compile_model(model, tmp_path / str(seed), target=CPU, seed=seed) for seed in (0, 1)]
    first, second = (read_tensor(artifact.directory, artifact.inputs[0]) for artifact in found)
    assert (first != second).any()
    for artifact, x in zip(found, (first, second), strict=True):
        reference = read_tensor(artifact.directory, artifact.outputs[0])
        np.testing.assert_array_equal(reference, evaluate(model, {"x": x})["y"])


def test_references_of_a_quantized_network_come_from_the_interpreter(integers: Path) -> None:
    artifact = open_artifact(integers)
    x = read_tensor(integers, artifact.inputs[0])
    reference = interpreter.run(lower(canonical(quantized(residual_net()))), {"x": x})["y"]
    np.testing.assert_array_equal(read_tensor(integers, artifact.outputs[0]), reference)
    assert artifact.proof[0].tolerance == 0
    assert verify(integers).passed


def test_the_same_model_gives_the_same_bytes_anywhere(tmp_path: Path, floats: Path) -> None:
    elsewhere = tmp_path / "a longer path" / "with spaces"
    compile_model(canonical(residual_net()), elsewhere, target=CPU)
    assert contents(elsewhere) == contents(floats)


def test_no_file_holds_a_machine_path(floats: Path) -> None:
    for name, content in contents(floats).items():
        for path in (str(floats.parent), str(Path.home()), str(Path(compiling.__file__).parents[3]), "/tmp/"):
            assert path.encode() not in content, f"{path} in {name}"


def test_another_seeds_weights_change_the_answers(tmp_path: Path, floats: Path) -> None:
    artifact = compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    other = compile_model(canonical(residual_net(seed=1)), tmp_path / "other", target=CPU)
    (tmp_path / "deploy" / "deploy.params").write_bytes((tmp_path / "other" / "deploy.params").read_bytes())
    write_manifest(artifact)
    x = {"x": read_tensor(other.directory, other.inputs[0])}
    (result,) = InferenceSession(tmp_path / "deploy").run(None, x)
    reference = read_tensor(other.directory, other.outputs[0])
    assert abs(result - reference).max() <= 1e-4 * np.ptp(reference)
    (before,) = InferenceSession(floats).run(None, x)
    assert abs(result - before).max() > 1e-2


def test_deploy_json_describes_the_library(floats: Path) -> None:
    description = json.loads((floats / "deploy.json").read_bytes())
    assert description["inputs"] == [{"name": "x", "shape": [1, 8, 12, 12], "dtype": "float32", "file": "input0.bin"}]
    assert description["outputs"][0]["file"] == "ref_result_0.bin"
    assert (description["layout"], description["threads"]) == ("nchw", 2)
    assert description["tolerance"] == [open_artifact(floats).proof[0].tolerance]
    assert [step["index"] for step in description["steps"]] == list(range(len(description["steps"])))


@pytest.mark.parametrize("artifact", ["floats", "integers"])
def test_the_compiled_test_program_passes(artifact: str, request: pytest.FixtureRequest) -> None:
    directory = request.getfixturevalue(artifact)
    done = subprocess.run([str(directory / "inference"), str(directory)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "correct ratio: 1\n" in done.stdout
    assert " inference.cpp:" in done.stdout


def test_the_compiled_test_program_sees_wrong_weights(tmp_path: Path) -> None:
    compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    compile_model(canonical(residual_net(seed=1)), tmp_path / "other", target=CPU)
    (tmp_path / "deploy" / "deploy.params").write_bytes((tmp_path / "other" / "deploy.params").read_bytes())
    done = subprocess.run([str(tmp_path / "deploy" / "inference"), str(tmp_path / "deploy")], capture_output=True)
    assert done.returncode == 1


# ---- what must not work ----


def test_unsupported_operators_are_told_before_anything_is_written(tmp_path: Path) -> None:
    w = Writer()
    model = canonical(w.model(w.op("Acosh", w.op("Det", w.input("x", (1, 4, 2, 2))), name="y")))
    with pytest.raises(UnsupportedError) as caught:
        compile_model(model, tmp_path / "deploy", target=CPU)
    assert {node.operator for node in caught.value.nodes} == {"Acosh", "Det"}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{"threads": 0}, {"threads": 65}, {"layout": "chwn"}])
def test_wrong_options_are_refused(tmp_path: Path, options: dict[str, object]) -> None:
    with pytest.raises(BuildError, match=next(iter(options))):
        compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU, **options)
    assert list(tmp_path.iterdir()) == []


def test_a_target_of_another_family_is_refused(tmp_path: Path) -> None:
    other = Target("m4", "mcu", "", ("armv7e-m",), ("q31",), "thumb")
    with pytest.raises(TargetError, match="m4"):
        compile_model(canonical(residual_net()), tmp_path / "deploy", target=other)


def test_a_rounding_that_the_target_lacks_is_refused(tmp_path: Path) -> None:
    model = canonical(quantized(residual_net()))
    set_rounding(model, "shift")
    with pytest.raises(TargetError, match="'cpu': rounds as float32 or q31, but the model's integers round as shift"):
        compile_model(model, tmp_path / "deploy", target=replace(CPU, requantize=("float32", "q31")))
    assert list(tmp_path.iterdir()) == []


def test_a_network_in_fixed_point_equals_the_interpreter_bit_for_bit(tmp_path: Path) -> None:
    model = canonical(quantized(residual_net()))
    set_rounding(model, "q31")
    directory = tmp_path / "deploy"
    artifact = compile_model(model, directory, target=CPU)
    assert [output.max_abs_diff for output in artifact.proof] == [0]
    steps = json.loads((directory / "deploy.json").read_text())["steps"]
    kernels = {kernel for step in steps for kernel in step["kernels"]}
    assert {"u8_conv_rows4_fixed"} <= kernels and not {"u8_conv_rows1", "u8_conv_rows4", "u8_add"} & kernels


def test_16_bit_integers_compute_in_float_between_their_conversions(tmp_path: Path) -> None:
    writer = Writer(opset=21)
    x = writer.requantized(writer.input("x", (1, 4, 6, 6)), 0.0002, 5, "int16")
    weight = writer.quantized_constant(writer.rng.integers(-127, 128, (8, 4, 3, 3)).astype(np.int8), np.float32(0.003))
    y = writer.requantized(writer.op("Conv", x, weight), 0.0004, -7, "int16")
    directory = tmp_path / "deploy"
    model = canonical(writer.model(writer.op("Relu", y, name="y")))
    compile_model(model, directory, target=CPU)
    x = random_inputs(model)["x"]
    with InferenceSession(directory) as session:
        [result] = session.run(None, {"x": x})
    expected = evaluate(model, {"x": x})["y"]
    assert np.abs(result - expected).max() <= 0.0004 * 1.001


def test_a_missing_compiler_is_told_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENWORK_CC", "/nowhere/cc")
    with pytest.raises(BuildError, match="OPENWORK_CC=/nowhere/cc"):
        compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    assert list(tmp_path.iterdir()) == []


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_failing_compiler_leaves_an_older_artifact_as_it_was(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    before = contents(tmp_path / "deploy")
    broken = script(tmp_path_factory.mktemp("bin") / "cc", "echo 'error: disk full' >&2; exit 1")
    monkeypatch.setenv("OPENWORK_CC", broken)
    with pytest.raises(BuildError, match="disk full"):
        compile_model(canonical(residual_net(seed=1)), tmp_path / "deploy", target=CPU)
    assert contents(tmp_path / "deploy") == before
    assert [path.name for path in tmp_path.iterdir()] == ["deploy"]


def test_an_older_artifact_is_replaced(tmp_path: Path) -> None:
    compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    newer = compile_model(canonical(conv_net()), tmp_path / "deploy", target=CPU)
    assert open_artifact(tmp_path / "deploy") == newer
    assert verify(tmp_path / "deploy").passed
    assert [path.name for path in tmp_path.iterdir()] == ["deploy"]


def test_a_directory_that_holds_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "thesis.tex").write_text("years of work")
    with pytest.raises(ArtifactError, match="holds other files"):
        compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    assert contents(tmp_path / "deploy") == {"thesis.tex": b"years of work"}


def test_a_directory_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(ArtifactError, match="cannot be written"):
        compile_model(canonical(residual_net()), Path("/proc/openwork/deploy"), target=CPU)


def test_wrong_results_are_never_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(model: ir.Model, inputs: object) -> dict[str, np.ndarray]:
        return {"y": evaluate(model, inputs)["y"] + np.float32(0.1)}

    monkeypatch.setattr(compiling, "evaluate", wrong)
    with pytest.raises(VerificationError, match="nothing was written"):
        compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_step_between_floats_and_integers_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of an integer is far within the tolerance of the outputs."""
    w = Writer()
    x = w.op("Tanh", w.input("x", (1, 8)))
    model = canonical(w.model(w.gemm(w.requantized(x, 1 / 128, 128), 8, 4, name="y")))
    compile_model(model, tmp_path / "right", target=CPU)

    def wrong(record: StepRecord, arena: int) -> np.ndarray:
        result = read_result(record, arena)
        return result ^ 1 if result.dtype == np.uint8 else result

    monkeypatch.setattr(proving, "read_result", wrong)
    with pytest.raises(VerificationError, match=r"step '.*' \(Quantize\): the compiled library is up to 1 off"):
        compile_model(model, tmp_path / "wrong", target=CPU)
    assert not (tmp_path / "wrong").exists()


def test_a_network_that_overflows_is_refused(tmp_path: Path) -> None:
    w = Writer()
    huge = w.constant(np.full((4, 4), 3e38, np.float32))
    model = canonical(w.model(w.op("Gemm", w.input("x", (1, 4)), huge, name="y")))
    with pytest.raises(VerificationError, match="NaN or infinity"):
        compile_model(model, tmp_path / "deploy", target=CPU)
    assert list(tmp_path.iterdir()) == []


def test_infinity_and_no_number_are_results_like_others(tmp_path: Path) -> None:
    """As onnxruntime gives them; where there are none the network is held as ever."""
    w = Writer()
    x = w.input("x", (2, 8))
    masked = w.op("Where", w.op("Less", x, w.constant(np.float32(0.5))), w.constant(np.float32(-np.inf)), x, name="a")
    model = w.model(masked, w.op("Sqrt", w.gemm(x, 8, 8), name="b"))
    onnx.save(ir.to_proto(model), tmp_path / "model.onnx")
    model = canonical(model)
    artifact = compile_model(model, tmp_path / "deploy", target=CPU, original=tmp_path / "model.onnx")
    assert artifact.reference.name.startswith("original file with onnxruntime")
    assert [note.split(": ")[0] for note in artifact.notes()][-2:] == ["output 'a'", "output 'b'"]
    assert verify(tmp_path / "deploy").passed
    assert subprocess.run([tmp_path / "deploy" / "inference", tmp_path / "deploy"], check=False).returncode == 0
    x = np.random.default_rng(5).normal(size=(2, 8)).astype(np.float32)
    expected = evaluate(model, {"x": x})
    for name, result in zip(("a", "b"), InferenceSession(tmp_path / "deploy").run(None, {"x": x}), strict=True):
        np.testing.assert_allclose(result, expected[name], rtol=1e-3, atol=1e-5)


def test_inputs_of_a_root_are_not_negative(tmp_path: Path) -> None:
    """One NaN in a row would leave no number behind a layer."""
    w = Writer()
    model = canonical(w.model(w.gemm(w.op("Sqrt", w.input("x", (2, 8))), 8, 4, name="y")))
    artifact = compile_model(model, tmp_path / "deploy", target=CPU)
    assert not artifact.notes()
    assert np.isfinite(read_tensor(artifact.directory, artifact.outputs[0])).all()
    assert verify(tmp_path / "deploy").passed


def test_a_compilation_killed_half_way_leaves_no_artifact_and_can_be_repeated(tmp_path: Path) -> None:
    killer = script(tmp_path / "cc", f"kill -{signal.SIGKILL.value} $VICTIM")
    program = (
        "import os\n"
        "from pathlib import Path\n"
        "from tests.deploy.test_compile import CPU, canonical, compile_model, residual_net\n"
        "os.environ['VICTIM'] = str(os.getpid())\n"
        f"compile_model(canonical(residual_net()), Path({str(tmp_path / 'deploy')!r}), target=CPU)\n"
    )
    environment = {**os.environ, "OPENWORK_CC": killer, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "deploy").exists()
    compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    assert verify(tmp_path / "deploy").passed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cc", "deploy"]


def test_compiling_and_comparing_do_not_load_torch() -> None:
    program = "import sys, openwork.deploy.compile, openwork.deploy.proof.compare; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_network_too_large_for_any_machine_is_refused_at_once(tmp_path: Path) -> None:
    w = Writer()
    model = w.model(w.op("Relu", w.input("x", (1, 4, 2**31 - 1, 2**31 - 1)), name="y"))
    with pytest.raises(ModelError, match="'x'"):
        compile_model(canonical(model), tmp_path / "deploy", target=CPU)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b", "é", 'quo"te', "back\\slash", "new\nline", "%s;$(id)"])
def test_the_directory_may_have_any_name(tmp_path: Path, floats: Path, name: str) -> None:
    compile_model(canonical(residual_net()), tmp_path / name, target=CPU)
    assert contents(tmp_path / name) == contents(floats)


def test_lists_of_weights_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    artifact = compile_model(canonical(residual_net()), tmp_path / "deploy", target=CPU)
    path = tmp_path / "deploy" / "deploy.params"
    data = path.read_bytes()
    (count, plan) = struct.unpack_from("<IQ", data, 12)
    places = [struct.unpack_from("<QQ", data, 64 + 16 * index) for index in range(count)]
    tensors = [np.frombuffer(data, np.uint8, size, offset).copy() for offset, size in places]
    sizes = re.search(r"param_bytes\[\] = \{(.*)\}", (tmp_path / "deploy" / "deploy.c").read_text())
    assert sizes is not None
    first = sizes[1].split(", ").index("-1")
    starts = tensors[first - 1].view(np.uint32)

    def altered(index: int, tensor: np.ndarray) -> bytes:
        write_params(tmp_path / "altered", [*tensors[:index], tensor, *tensors[index + 1 :]], plan)
        return (tmp_path / "altered").read_bytes()

    assert altered(0, tensors[0]) == data
    for wrong in (
        altered(first - 1, starts + np.uint32(1)),
        altered(first - 1, np.where(np.arange(len(starts)) == 1, starts[-1] + 1, starts).astype(np.uint32)),
        altered(first, tensors[first][:-4]),
        altered(first + 1, tensors[first + 1][:-4]),
    ):
        path.write_bytes(wrong)
        write_manifest(artifact)
        with pytest.raises(ArtifactError, match="lists at tensor"):
            InferenceSession(tmp_path / "deploy")
