import numpy as np
import pytest

from openwork.graph import evaluate
from openwork.passes import canonicalise, drop_empty_pads
from tests.graphs import graph, operators

NOTHING, ONE = np.zeros(4, np.int64), np.int64([0, 1, 0, 0])
X = np.arange(6, dtype="f").reshape(2, 3)


def check(model, left):
    expected = evaluate(model, {"x": X})
    assert drop_empty_pads(model)
    assert operators(model) == left
    result = evaluate(model, {"x": X})
    assert list(result) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(result[name], array)
    assert not drop_empty_pads(model)


def test_between_others():
    body = "a = Relu(x) p = Pad(a, n) q = Pad(p, o) y = Exp(q)"
    check(graph(f"(float[2,3] x) => (float[2,4] y) {{ {body} }}", n=NOTHING, o=ONE), ["Relu", "Pad", "Exp"])


@pytest.mark.parametrize("value", ["", ", , axes", ", value"], ids=["plain", "axes", "value"])
def test_before_an_output(value):
    body = f"a = Relu(x) y = Pad(a, n{value}) z = Exp(a)"
    sizes = NOTHING if "axes" not in value else NOTHING[:2]
    model = graph(
        f"(float[2,3] x) => (float[2,3] y, float[2,3] z) {{ {body} }}", n=sizes, axes=np.int64([1]), value=np.float32(7)
    )
    check(model, ["Relu", "Exp"])


@pytest.mark.parametrize(
    "body",
    [
        "a = Relu(x) p = Pad(a, o) y = Slice(p, s, e) z = Exp(x)",
        "y = Pad(x, n) z = Exp(x)",
        "z = Exp(x) y = Pad(z, n)",
    ],
    ids=["adds a row", "links an input", "links two outputs"],
)
def test_left_alone(body):
    constants = {"n": NOTHING, "o": ONE, "s": np.int64([0, 1]), "e": np.int64([2, 4])}
    model = graph(f"(float[2,3] x) => (float[2,3] y, float[2,3] z) {{ {body} }}", **constants)
    before = operators(model)
    assert not drop_empty_pads(model)
    assert operators(model) == before


def test_sizes_computed_from_shapes_are_known_in_a_pipeline():
    model = graph(
        "(float[N,3] x) => (float[N,M] y) { s = Shape(x) d = Sub(s, s) p = Concat<axis=0>(d, d) y = Exp(q)"
        "q = Pad(x, p) }"
    )
    canonicalise(model, batch=2)
    assert operators(model) == ["Exp"]


def test_an_operator_of_another_domain_stays():
    model = graph("(float[1,4] x) => (float[1,4] y) { p = my.Pad(x) y = Relu(p) }")
    canonicalise(model)
    assert operators(model) == ["Pad", "Relu"]
