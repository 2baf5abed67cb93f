"""Every network of the zoo, small, through the whole road: exported, quantized, compiled, run beside onnxruntime."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
from bench.networks import weighted_macs
from numpy.typing import NDArray

from openwork.deploy import InferenceSession
from openwork.deploy.compile import compile_model
from openwork.deploy.proof.difference import difference, value_range
from openwork.graph import count, evaluate, total
from openwork.lowering import lower
from openwork.quantization import calibrate, quantize
from openwork.targets import load_target
from openwork.zoo import example_inputs, make_graph, output_names, zoo_names

SPARSITY = 0.8
# The smallest that each takes and that still has pixels for the last layers; the tiny ones have one size only.
SMALL = {"resnet20": 16, "bert_mini": 16, "ds_cnn": 10, "autoencoder": 640}
# Where 32 pixels would leave one to the last layers: nothing to average, and onnxruntime 1.31 takes the softmax of one
# quantized element for 0.
SMALL |= dict.fromkeys(("swin_tiny", "segformer_b0"), 64)
# As a fraction of the range of an output. On processors without fused multiplication and addition onnxruntime rounds
# integers in another order.
LARGEST_DIFFERENCE = {"fp32": 1e-4, "int8": 2e-2}
LARGEST_DISTANCE = {"fp32": 1e-8, "int8": 1e-3}
# Of the multiply-accumulates with weights, how many have to be of integers.
INTEGER_SHARE = 0.95

Arrays = dict[str, NDArray[np.generic]]


def size_of(name: str) -> int:
    return SMALL.get(name, 32)


def inputs_of(name: str, seed: int, batch: int = 1) -> Arrays:
    return {
        key: tensor.numpy() for key, tensor in example_inputs(name, batch=batch, size=size_of(name), seed=seed).items()
    }


@pytest.fixture(scope="session")
def network(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], ir.Model]:
    """The graph of a network, made once a test run, whichever worker asks first."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder if worker_id == "master" else folder.parent) / "networks"
    folder.mkdir(exist_ok=True)

    def find(name: str) -> ir.Model:
        file = folder / f"{name}.onnx"
        if not file.exists():
            part = folder / f"{name}.{worker_id}"
            ir.save(make_graph(name, sparsity=SPARSITY, size=size_of(name)), part)
            part.rename(file)
        return ir.load(file)

    return find


def run(model: ir.Model, folder: Path, inputs: Arrays) -> Arrays:
    """Compile, with the proof that comes with it, and run on inputs that the proof has not seen."""
    compile_model(model, folder, target=load_target("cpu"), threads=2)
    with InferenceSession(folder) as session:
        names = [output.name for output in session.get_outputs()]
        return dict(zip(names, session.run(None, inputs), strict=True))


def check(name: str, dtype: str, model: ir.Model, folder: Path, inputs: Arrays) -> Iterator[tuple[str, float]]:
    """Hold every output against onnxruntime on the same graph; gives the cosine distance of each."""
    results, expected = run(model, folder, inputs), evaluate(model, inputs)
    assert tuple(results) == output_names(name)
    for output, reference in expected.items():
        assert results[output].shape == reference.shape and results[output].dtype == reference.dtype
        found = difference(output, results[output], reference, LARGEST_DIFFERENCE[dtype] * value_range(reference))
        assert found.passed, found
        assert found.distance <= LARGEST_DISTANCE[dtype], found
        yield output, found.distance


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["fp32", "int8"])
@pytest.mark.parametrize("name", zoo_names())
def test_a_compiled_network_agrees_with_onnxruntime(
    name: str,
    dtype: str,
    network: Callable[[str], ir.Model],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    floats = network(name)
    model = floats
    assert total(count(floats)).sparsity > 0.5
    if dtype == "int8":
        model = quantize(floats, calibrate(floats, (inputs_of(name, seed) for seed in range(1, 5))))
        in_integers, in_floats = weighted_macs(lower(model))
        assert in_integers + in_floats == sum(layer.macs for layer in count(floats) if layer.weights)
        assert in_integers >= INTEGER_SHARE * (in_integers + in_floats)
    for output, distance in check(name, dtype, model, tmp_path / "artifact", inputs_of(name, seed=9)):
        record_property(f"distance of {output}", distance)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ds_cnn", "shufflenet_v2", "bert_mini"])
def test_a_batch_is_as_many_networks_side_by_side(name: str, tmp_path: Path) -> None:
    model = make_graph(name, sparsity=SPARSITY, batch=3, size=size_of(name))
    inputs = inputs_of(name, seed=9, batch=3)
    assert all(len(array) == 3 for array in inputs.values())
    assert len([*check(name, "fp32", model, tmp_path / "artifact", inputs)]) == len(output_names(name))
