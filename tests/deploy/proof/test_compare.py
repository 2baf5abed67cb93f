import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from openwork.deploy.artifact import open_artifact, write_manifest
from openwork.deploy.compile import compile_model
from openwork.deploy.networks import Values, open_networks
from openwork.deploy.proof import compare as comparing
from openwork.deploy.proof.compare import Comparison
from openwork.errors import ArtifactError, DataError, ModelError
from openwork.passes import canonicalise
from openwork.quantization import calibrate, quantize
from openwork.targets import load_target
from tests.models import Writer, mobile_net, quantized, random_inputs, residual_net

CPU = load_target("cpu")


def chain(*, wrong: str | None = None, batch: int | str = 1) -> ir.Model:
    """x -> first -> second -> third -> y, one of them with other weights."""
    w = Writer()
    x = w.input("x", (batch, 3, 8, 8))
    for name in ("first", "second", "third"):
        weight = w.normal(3, 3, 3, 3) * (1.5 if name == wrong else 1)
        x = w.op("Relu", w.op("Conv", x, w.constant(weight), pads=[1] * 4), name=name)
    return w.model(w.op("Flatten", x, name="y"))


def write_onnx(path: Path, model: ir.Model) -> Path:
    path.write_bytes(ir.to_proto(model).SerializeToString())
    return path


def write_artifact(path: Path, model: ir.Model, **options: str) -> Path:
    canonicalise(model)
    compile_model(model, path, target=CPU, **options)
    return path


def compare(a: Path, b: Path, inputs: Values | None = None, *, within: float | None = None) -> Comparison:
    with open_networks(a, b) as (one, other):
        return comparing.compare(one, other, inputs, within=within)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain as a model and as an artifact, and both with another second layer."""
    folder = tmp_path_factory.mktemp("compare")
    write_onnx(folder / "right.onnx", chain())
    write_onnx(folder / "wrong.onnx", chain(wrong="second"))
    write_artifact(folder / "right", chain())
    write_artifact(folder / "wrong", chain(wrong="second"))
    return folder


@pytest.mark.parametrize("a", ["right.onnx", "right"])
@pytest.mark.parametrize("b", ["right.onnx", "right"])
def test_the_same_network_passes_in_every_form(folder: Path, a: str, b: str) -> None:
    found = compare(folder / a, folder / b)
    assert found.passed
    assert found.first_diverging is None
    assert [(output.name, output.passed) for output in found.outputs] == [("y", True)]


@pytest.mark.parametrize(
    ("a", "b", "first"),
    [
        ("right.onnx", "wrong.onnx", "conv2"),  # onnxruntime shows what the library computes in one step
        ("right.onnx", "wrong", "second"),
        ("right", "wrong.onnx", "second"),
        ("right", "wrong", "second"),
    ],
)
def test_the_first_diverging_tensor_is_named(folder: Path, a: str, b: str, first: str) -> None:
    for one, other in ((a, b), (b, a)):
        found = compare(folder / one, folder / other)
        assert not found.passed
        assert found.first_diverging is not None
        assert found.first_diverging.name == first


def test_of_an_integer_model_and_an_artifact_the_layer_is_named(tmp_path: Path) -> None:
    """By itself and to the bit: it is the layer with other weights, although all behind it differ too."""
    right, wrong = quantized(residual_net()), quantized(residual_net())
    weight = next(value for name, value in wrong.graph.initializers.items() if value.shape == (32, 32, 3, 3))
    weight.const_value = ir.tensor(np.negative(weight.const_value.numpy()), name=weight.name)
    path, artifact = write_onnx(tmp_path / "right.onnx", right), write_artifact(tmp_path / "wrong", wrong)
    steps = open_artifact(artifact).steps()
    [layer] = [index for index, step in enumerate(steps) if step["operator"] == "Conv"][-1:]
    for one, other in ((path, artifact), (artifact, path)):
        found = compare(one, other)
        assert not found.passed
        assert found.first_diverging is not None
        assert found.first_diverging.name == steps[layer]["output"]
        assert found.first_diverging.tolerance == 0


def test_layouts_are_reconciled(tmp_path: Path, folder: Path) -> None:
    artifact = write_artifact(tmp_path / "nhwc", chain(), layout="nhwc")
    inputs = random_inputs(chain(), seed=9)
    for other in ("right.onnx", "right"):
        assert compare(artifact, folder / other, inputs).passed
    found = compare(folder / "wrong.onnx", artifact, inputs)
    assert found.first_diverging is not None
    assert found.first_diverging.name == "second"


def test_a_quantized_artifact_is_close_to_onnxruntime_and_to_its_float_model(tmp_path: Path) -> None:
    model = quantized(mobile_net())
    path = write_onnx(tmp_path / "int8.onnx", model)
    found = compare(path, write_artifact(tmp_path / "int8", model))
    assert found.passed
    assert found.outputs[0].distance < 1e-3


@pytest.mark.parametrize("form", ["int8.onnx", "int8"])
def test_a_float_network_and_its_quantized_one_pass_on_inputs_that_both_can_hold(tmp_path: Path, form: str) -> None:
    """Calibrated on images from 0 to 1; what lies outside of that the integers cut off."""
    floats = residual_net()
    canonicalise(floats)
    images = [{"x": np.random.default_rng(seed).random((1, 8, 12, 12), np.float32)} for seed in range(8)]
    coded = quantize(floats, calibrate(floats, images))
    write_onnx(tmp_path / "float.onnx", floats)
    write_onnx(tmp_path / "int8.onnx", coded)
    if form == "int8":
        write_artifact(tmp_path / "int8", coded)
    for pair in ((tmp_path / "float.onnx", tmp_path / form), (tmp_path / form, tmp_path / "float.onnx")):
        assert compare(*pair).passed
    assert not compare(tmp_path / "float.onnx", tmp_path / form, random_inputs(floats)).passed
    wrong = residual_net(seed=1)
    canonicalise(wrong)
    assert not compare(write_onnx(tmp_path / "wrong.onnx", wrong), tmp_path / form).passed


def test_a_symbolic_batch_takes_the_artifacts(tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "any.onnx", chain(batch="n"))
    artifact = write_artifact(tmp_path / "four", chain(batch=4))
    assert compare(model, artifact).passed
    assert compare(artifact, model).passed


def test_within_sets_what_passes(folder: Path) -> None:
    assert compare(folder / "right", folder / "wrong", within=10.0).passed
    assert not compare(folder / "right", folder / "wrong", within=0.0).passed


def test_given_inputs_are_used(folder: Path) -> None:
    zeros = {"x": np.zeros((1, 3, 8, 8), np.float32)}
    assert compare(folder / "right", folder / "wrong.onnx", zeros).passed


@pytest.mark.parametrize("b", ["right", "right.onnx"])
def test_inputs_that_do_not_fit_are_refused(folder: Path, b: str) -> None:
    for inputs in ({}, {"x": np.zeros((1, 3, 9, 9), np.float32)}, {"z": np.zeros(1)}):
        with pytest.raises(DataError):
            compare(folder / b, folder / b, inputs)


def test_networks_with_other_inputs_or_outputs_are_refused(tmp_path: Path, folder: Path) -> None:
    other = write_onnx(tmp_path / "other.onnx", residual_net())
    with pytest.raises(DataError, match="right takes x float32"):
        compare(folder / "right", other)


def test_outputs_of_another_shape_are_refused(tmp_path: Path, folder: Path) -> None:
    w = Writer()
    other = write_onnx(tmp_path / "other.onnx", w.model(w.op("Relu", w.input("x", (1, 3, 8, 8)), name="y")))
    with pytest.raises(DataError, match="differ in shape"):
        compare(folder / "right", other)


def test_what_cannot_be_read_is_told(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ModelError):
        compare(folder / "right", tmp_path / "none.onnx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError):
        compare(tmp_path / "empty", folder / "right")


@pytest.mark.parametrize("steps", [[{}], "x", None])
def test_a_description_without_steps_is_refused(tmp_path: Path, folder: Path, steps: object) -> None:
    shutil.copytree(folder / "right", tmp_path / "copy")
    path = tmp_path / "copy" / "deploy.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "steps": steps}))
    write_manifest(replace(open_artifact(folder / "right"), directory=tmp_path / "copy"))
    with pytest.raises(ArtifactError, match=r"deploy\.json: does not describe steps"):
        compare(tmp_path / "copy", tmp_path / "copy")


def test_shapes_and_batch_fix_what_the_file_leaves_open(tmp_path: Path) -> None:
    model = write_onnx(tmp_path / "any.onnx", chain(batch="n"))
    for options in ({"shapes": {"x": (3, 3, 8, 8)}}, {"batch": 3}):
        with open_networks(model, model, **options) as (one, other):
            assert one is other
            assert one.inputs[0].shape == (3, 3, 8, 8)


def test_networks_are_closed_in_the_end(folder: Path) -> None:
    with open_networks(folder / "right", folder / "right.onnx") as (one, _):
        values = {"x": np.zeros((1, 3, 8, 8), np.float32)}
        one.run(values)
    with pytest.raises(ArtifactError, match="closed"):
        one.run(values)
