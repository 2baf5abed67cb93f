import numpy as np
import pytest

from openwork.graph import constant, evaluate
from openwork.lowering import lower
from openwork.passes import batch_norm_to_conv, canonicalise, infer_shapes
from openwork.quantization import calibrate, quantize
from tests.graphs import graph, operators

RANDOM = np.random.default_rng(0)
NORM = {
    "s": RANDOM.normal(size=4).astype("f"),
    "t": RANDOM.normal(size=4).astype("f"),
    "m": RANDOM.normal(size=4).astype("f"),
    "v": RANDOM.uniform(0.1, 2, 4).astype("f"),
}


@pytest.mark.parametrize("shape", [(2, 4, 7), (2, 4, 5, 3)])
def test_every_channel_has_its_factor_and_summand(shape):
    sizes = ",".join(map(str, shape))
    model = graph(
        f"(float[{sizes}] x) => (float[{sizes}] y)"
        "{ n = BatchNormalization<epsilon=0.01>(x, s, t, m, v) y = Relu(n) }",
        **NORM,
    )
    infer_shapes(model)
    x = RANDOM.normal(size=shape).astype("f")
    expected = evaluate(model, {"x": x})["y"]
    assert batch_norm_to_conv(model)
    assert operators(model) == ["Conv", "Relu"]
    assert [value.name for value in model.graph[0].inputs] == ["x", "n.weight", "n.bias"]
    np.testing.assert_allclose(evaluate(model, {"x": x})["y"], expected, rtol=1e-5, atol=1e-6)
    assert not batch_norm_to_conv(model)


def test_worked_example_in_float64_rounded_once():
    model = graph(
        "(float[1,1,1,1] x) => (float[1,1,1,1] y) { y = BatchNormalization<epsilon=1.0>(x, s, t, m, v) }",
        s=np.float32([4]),
        t=np.float32([5]),
        m=np.float32([7]),
        v=np.float32([3]),
    )
    infer_shapes(model)
    batch_norm_to_conv(model)
    conv = model.graph[0]
    assert constant(conv.inputs[1]) == 4 / 2
    assert constant(conv.inputs[2]) == 5 - 7 * 4 / 2
    assert conv.outputs[0].is_graph_output() and conv.outputs[0].name == "y"


def test_parameters_that_others_read_stay_and_no_others():
    model = graph(
        "(float[1,4,5,5] x) => (float[1,4,5,5] y, float[4] z)"
        "{ a = BatchNormalization(x, s, t, m, v) y = BatchNormalization(a, s, t, m, v) z = Identity(s) }",
        **NORM,
    )
    infer_shapes(model)
    canonicalise(model)
    assert operators(model) == ["Conv", "Conv", "Identity"]
    assert set(model.graph.initializers) == {"s", "a.weight", "a.bias", "y.weight", "y.bias"}


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("1,4", "y = BatchNormalization(x, s, t, m, v)"),
        ("1,4,2,2,2", "y = BatchNormalization(x, s, t, m, v)"),
        ("1,4,5,5", "e = Abs(p) y = BatchNormalization(x, e, t, m, v)"),
        ("1,4,5,5", "y, _m, _v = BatchNormalization<training_mode=1>(x, s, t, m, v)"),
    ],
    ids=["no pixels", "three dimensions", "computed scale", "training"],
)
def test_left_alone(shape, body):
    model = graph(f"(float[{shape}] x, float[4] p) => (float[{shape}] y) {{ {body} }}", **NORM)
    infer_shapes(model)
    assert not batch_norm_to_conv(model)


def test_normalization_before_a_layer_runs_in_integers():
    """As in DenseNet: concatenated, normalized, bounded, then convolved."""
    model = graph(
        "(float[1,4,6,6] x) => (float[1,2,6,6] y)"
        "{ a = Relu(x) c = Concat<axis=1>(x, a) n = BatchNormalization(c, s, t, m, v) r = Relu(n) y = Conv(r, w) }",
        w=RANDOM.normal(size=(2, 8, 1, 1)).astype("f"),
        **{name: np.concatenate([array, array]) for name, array in NORM.items()},
    )
    canonicalise(model)
    x = {"x": RANDOM.normal(size=(1, 4, 6, 6)).astype("f")}
    program = lower(quantize(model, calibrate(model, [x])))
    assert {str(buffer.dtype) for name, buffer in program.buffers.items() if name not in ("x", "y")} == {"uint8"}
