"""Inputs and outputs that are no floats, from compile over the session to verify."""

from pathlib import Path

import numpy as np

from openwork.deploy import InferenceSession, verify
from openwork.deploy.compile import compile_model
from openwork.graph import evaluate
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.models import Writer


def test_integers_and_truth_values_go_in_and_come_out(tmp_path: Path) -> None:
    """Words and kinds of words are looked up, masked ones are hidden; what was counted and compared comes out too."""
    w = Writer()
    words, kinds = w.input("words", (2, 5), "int64"), w.input("kinds", (2, 5), "int32")
    mask = w.input("mask", (2, 5), "bool")
    x = w.op(
        "Add", w.op("Gather", w.constant(w.normal(50, 6)), words), w.op("Gather", w.constant(w.normal(2, 6)), kinds)
    )
    shown = w.op("Where", w.op("Unsqueeze", mask, w.constant(np.array([2]))), x, w.constant(np.float32(-5)))
    y = w.op("Tanh", shown, name="y")
    count = w.op("Add", words, w.op("Cast", kinds, to=7), name="count")
    small = w.op("Cast", w.op("Mul", kinds, w.constant(np.int32(3))), to=6, name="small")
    large = w.op("And", w.op("Greater", words, w.constant(np.int64(0))), mask, name="large")
    model = w.model(y, count, small, large)
    canonicalise(model)
    artifact = compile_model(model, tmp_path / "deploy", target=load_target("cpu"))
    assert [tensor.dtype for tensor in artifact.inputs] == ["int64", "int32", "bool"]
    assert [tensor.dtype for tensor in artifact.outputs] == ["float32", "int64", "int32", "bool"]
    assert verify(artifact.directory).passed

    inputs = {
        "words": w.rng.integers(0, 50, (2, 5)),
        "kinds": w.rng.integers(0, 2, (2, 5)).astype(np.int32),
        "mask": w.rng.integers(0, 2, (2, 5)).astype(np.bool_),
    }
    expected = evaluate(model, inputs)
    with InferenceSession(artifact.directory) as session:
        results = session.run(None, inputs)
        assert [node.type for node in session.get_inputs()] == ["tensor(int64)", "tensor(int32)", "tensor(bool)"]
    for result, (name, reference) in zip(results, expected.items(), strict=True):
        assert result.dtype == reference.dtype, name
        np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-6, err_msg=name)
