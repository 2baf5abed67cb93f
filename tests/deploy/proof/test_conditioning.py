"""Networks that are right and hard to hold from end to end, and such as are wrong by little."""

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from openwork.backends.cpu import build
from openwork.deploy import verify
from openwork.deploy.compile import compile_model
from openwork.deploy.library import Library
from openwork.deploy.networks import open_networks
from openwork.deploy.proof.compare import compare
from openwork.deploy.proof.difference import ANYTHING
from openwork.deploy.proof.steps import expected_steps, first_wrong
from openwork.lowering import lower
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.models import Writer, random_inputs

CPU = load_target("cpu")


def tiny_outputs() -> ir.Model:
    """A detector's head whose outputs are 1e-7 of what they are made of."""
    w = Writer()
    x = w.op("Relu", w.conv(w.input("x", (1, 3, 12, 12)), 3, 8, 3, pads=1))
    weight, bias = w.constant(w.normal(4, 8, 3, 3, scale=1e-8)), w.constant(w.normal(4, scale=1e-7))
    return w.model(w.op("Conv", x, weight, bias, name="y"))


def nearly_tied() -> ir.Model:
    """Channels of which three are equal but for their last bits."""
    w = Writer()
    x = w.op("Relu", w.conv(w.input("x", (1, 3, 12, 12)), 3, 8, 3, pads=1))
    first = w.normal(1, 8, 3, 3, scale=0.1)
    channels = np.concatenate([first, first * np.float32(1 + 2e-7), first * np.float32(1 - 2e-7)])
    return w.model(w.op("ArgMax", w.op("Conv", x, w.constant(channels)), axis=1, name="y"))


def ill_conditioned() -> ir.Model:
    """Differences of large numbers, blown up; onnxruntime's own output moves by percents with the last bits."""
    w = Writer()
    x = w.op("Add", w.gemm(w.input("x", (1, 64)), 64, 64), w.constant(np.float32(1000)))
    x = w.op("Mul", w.op("Sub", x, w.constant(np.float32(1000))), w.constant(np.float32(3000)))
    return w.model(w.op("Sin", w.gemm(x, 64, 16), name="y"))


@pytest.mark.parametrize("network", [tiny_outputs, nearly_tied, ill_conditioned])
def test_what_is_right_is_taken(network, tmp_path: Path) -> None:
    model = network()
    path = tmp_path / "model.onnx"
    ir.save(model, path)
    canonicalise(model)
    artifact = compile_model(model, tmp_path / "deploy", target=CPU, original=path)
    assert verify(tmp_path / "deploy").passed
    with open_networks(path, tmp_path / "deploy") as (one, other):
        assert compare(one, other).passed
    ill = [note for note in artifact.notes() if "ill-conditioned" in note]
    assert bool(ill) == (network is ill_conditioned)
    assert (artifact.proof[0].tolerance == ANYTHING) == (network is nearly_tied)


@pytest.mark.parametrize("mistake", ["a weight off by a thousandth", "a tap dropped", "a bias forgotten"])
def test_a_library_that_is_wrong_by_little_is_seen(mistake: str, tmp_path: Path) -> None:
    """The outputs of the last layer are 1e-7 of the range of those before; the mistake is in one of them."""
    right = tiny_outputs()
    canonicalise(right)
    program, inputs = lower(right), random_inputs(right)
    name = program.steps[-1].bias if "bias" in mistake else program.steps[-1].weight
    value = program.constants[name].copy()
    value.reshape(-1)[1] *= np.float32(1.001 if "thousandth" in mistake else 0)
    constants = {**program.constants, name: value}
    wrong = type(program)(program.inputs, program.outputs, program.buffers, constants, program.steps)
    records = build(wrong, tmp_path, target=CPU, threads=1)
    library = Library(tmp_path, 1)
    found = first_wrong(library, records, expected_steps(program, inputs), [inputs["x"]], program.outputs)
    library.close()
    assert found is not None
    assert found.record.index == len(program.steps) - 1
    assert found.difference > found.allowed
