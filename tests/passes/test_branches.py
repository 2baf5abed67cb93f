"""An If whose condition is constant is the branch that it takes."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from openwork.errors import UnsupportedError
from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.models import random_inputs


def chosen(condition: str, then: str, otherwise: str) -> str:
    return f"If ({condition}) <then_branch = t () => {then}, else_branch = e () => {otherwise}>"


RELU = "(float[2,3] a) { a = Relu(x) }"
NEG = "(float[2,3] b) { b = Neg(x) }"

HEAD = "(float[2,3] x) => (float[2,3] y) <bool c = {1}, bool d = {0}, bool[1] ones = {0}, float[3] w = {1,2,3}>"
SUM = "(float[2,3] a) { q = Add(r, w) a = Abs(q) }"
OWN = "(float[2,3] a) <float[3] v = {1,2,3}> { a = Add(x, v) }"
ABS = "(float[2,3] a) { q = Neg(x) a = Abs(q) }"
EXP = "(float[2,3] a) { q = Exp(r) a = Abs(q) }"
INNER = f"(float[2,3] z) {{ z = {chosen('d', RELU, NEG)} }}"
TWO = (
    "(float[2,3] a, float[2,3] b) { a = Relu(x) b = Exp(a) }",
    "(float[2,3] u, float[2,3] v) { u = Neg(x) v = Abs(x) }",
)
SHAPES = ("(float[3,2] a) { a = Squeeze(x, k) }", "(float[1,3,2] b) { b = Identity(x) }")
VALUES = [
    f"(float[3] {name}) {{ {name} = Constant<value = float[3] {{1,2,{last}}}>() }}"
    for name, last in (("a", 3), ("b", 4))
]

GRAPHS = {
    "then": f"{HEAD} {{ y = {chosen('c', RELU, NEG)} }}",
    "else": f"{HEAD} {{ y = {chosen('d', RELU, NEG)} }}",
    "condition of one element": f"{HEAD} {{ y = {chosen('ones', RELU, NEG)} }}",
    "condition of shapes": f"""(float[2,3] x) => (float[2,3] y) <int64 two = {{2}}, int64 zero = {{0}}>
        {{ s = Shape(x) d = Gather(s, zero) e = Equal(d, two) c = Not(e) y = {chosen("c", RELU, NEG)} }}""",
    "own initializers": f"{HEAD} {{ y = {chosen('c', OWN, NEG)} }}",
    "outer values": f"{HEAD} {{ r = Relu(x) y = {chosen('c', SUM, NEG)} }}",
    "equal names": f"{HEAD} {{ r = {chosen('c', ABS, NEG)} y = {chosen('c', EXP, NEG)} }}",
    "nested": f"{HEAD} {{ y = {chosen('c', INNER, NEG)} }}",
    "two outputs": f"(float[2,3] x) => (float[2,3] z, float[2,3] y) <bool c = {{1}}> {{ y, z = {chosen('c', *TWO)} }}",
    "branches of other shapes": f"""(float[1,3,2] x) => (float[3,2] y)
        <int64 one = {{1}}, int64 zero = {{0}}, int64[1] k = {{0}}>
        {{ s = Shape(x) d = Gather(s, zero) c = Equal(d, one) q = {chosen("c", *SHAPES)} y = Relu(q) }}""",
    "constants": f"{HEAD} {{ k = {chosen('c', *VALUES)} y = Add(x, k) }}",
    "a constant output": f"""(float[2] x) => (float[2] z, float[3] y) <bool c = {{0}}>
        {{ z = Relu(x) y = {chosen("c", *VALUES)} }}""",
}


def parsed(graph: str) -> ir.Model:
    return ir.from_proto(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> g {graph}'))


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_branch_taken_takes_the_place_of_an_if(graph: str) -> None:
    model = parsed(graph)
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)
    canonicalise(model)
    assert "If" not in {node.op_type for node in model.graph}
    for name, array in interpreter.run(lower(model), inputs).items():
        np.testing.assert_allclose(array, expected[name], rtol=1e-6)


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (f"(float[2,3] x, bool c) => (float[2,3] y) {{ y = {chosen('c', RELU, NEG)} }}", "known only at run time"),
        (
            """(float[2] x) => (float[2] y) <int64 m = {3}, bool c = {1}> { y = Loop (m, c, x) <body =
            b (int64 i, bool ci, float[2] xi) => (bool co, float[2] xo) { co = Identity(ci) xo = Add(xi, xi) }> }""",
            "repeats a graph",
        ),
    ],
)
def test_what_runs_graphs_at_run_time_is_refused(graph: str, reason: str) -> None:
    model = parsed(graph)
    canonicalise(model)
    with pytest.raises(UnsupportedError, match=reason):
        lower(model)
