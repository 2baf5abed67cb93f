"""Outputs that depend on no input, that are inputs, and that are given twice: as onnxruntime gives them."""

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from openwork import InferenceSession
from openwork.deploy.compile import compile_model
from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.models import random_inputs

# Each is a graph: what follows the inputs.
GRAPHS = {
    "initializer": "(float[2,3] x) => (float[2,3] y, float[2] k) <float[2] k = {1,2}> { y = Relu(x) }",
    "constant": "(float[2,3] x) => (float[2,3] y, float[2] c) { y = Relu(x) c = Constant<value = float[2] {1,2}>() }",
    "computed": "(float[2,3] x) => (float[2] c, float[2,3] y) <float[2] k = {1,2}> { c = Add(k, k) y = Relu(x) }",
    "shape": "(float[2,3] x) => (float[2,3] y, int64[2] s) { y = Relu(x) s = Shape(x) }",
    "dequantized": """(float[2,2] x) => (float[2,2] y, float[2] z) <int8[2] k = {1,2}, float s = {0.5}, int8 o = {0}>
        { z = DequantizeLinear(k, s, o) y = Mul(x, z) }""",
    "weight": "(float[2,2] x) => (float[2,2] w, float[2,2] y) <float[2,2] w = {1,2,3,4}> { y = MatMul(x, w) }",
    "twice": "(float[2] x) => (float[2] k, float[2] y, float[2] k) <float[2] k = {1,2}> { y = Add(x, k) }",
    "integers": """(float[2] x) => (float[2] y, int64[2] a, bool[1] b, int8[2] c, float d)
        <int64[2] a = {1, -5}, bool[1] b = {1}, int8[2] c = {3, -4}, float d = {7}> { y = Relu(x) }""",
    "name that is taken": """(float[2] k_constant) => (float[2] k, float[2] y) <float[2] k = {1,2}>
        { y = Relu(k_constant) }""",
    "nothing else": "(float[2,3] x) => (float[2] c) { c = Constant<value = float[2] {1,2}>() }",
    "no inputs": "() => (float[2] c) <float[2] k = {1,2}> { c = Neg(k) }",
    "input": "(float[2,3] x) => (float[2,3] y, float[2,3] x) { y = Relu(x) }",
    "input alone": "(float[2,3] x) => (float[2,3] x) { }",
    "one tensor under two names": """(float[2] x) => (float[2] y, float[2] z)
        { r = Relu(x) y = Identity(r) z = Identity(r) }""",
    "one output twice": "(float[2] x) => (float[2] y, float[2] y) { y = Relu(x) }",
    "output that is read": "(float[2] x) => (float[2] y, float[2] z) { y = Relu(x) z = Add(y, y) }",
}


def parsed(graph: str) -> ir.Model:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}')
    onnx.checker.check_model(model)
    return ir.from_proto(model)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_outputs_of_every_kind_are_as_in_onnxruntime(graph: str, tmp_path: Path) -> None:
    model = parsed(graph)
    inputs = random_inputs(model)
    names = [output.name for output in model.graph.outputs]
    expected = evaluate(model, inputs)
    canonicalise(model)
    assert [output.name for output in model.graph.outputs] == names
    interpreted = interpreter.run(lower(model), inputs)
    artifact = compile_model(model, tmp_path / "deploy", target=load_target("cpu"))
    with InferenceSession(artifact.directory) as session:
        for name, compiled in zip(names, session.run(None, inputs), strict=True):
            for array in (compiled, interpreted[str(name)]):
                np.testing.assert_allclose(array, expected[str(name)], rtol=1e-6, strict=True)


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_doing_it_again_changes_nothing(graph: str) -> None:
    model = parsed(graph)
    canonicalise(model)
    once = ir.to_proto(model).SerializeToString()
    canonicalise(model)
    assert ir.to_proto(model).SerializeToString() == once
