import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper

from openwork.errors import OpenworkError
from openwork.graph import constant, evaluate
from openwork.guarded import RefusedError
from openwork.lowering import lower
from openwork.passes import canonicalise, fold_constants, folding
from tests.graphs import graph, operators


def test_integer_weights_are_not_turned_into_floats():
    model = graph(
        "(float[1,3] x) => (float[1,4] y) { d = DequantizeLinear(q, s) y = MatMul(x, d) }",
        q=np.ones((3, 4), np.int8),
        s=np.float32(0.1),
    )
    fold_constants(model)
    assert operators(model) == ["DequantizeLinear", "MatMul"]


def test_activations_stay_quantized():
    body = "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)"
    model = graph(f"(float[1,3] x) => (float[1,3] y) {{ {body} }}", s=np.float32(0.1), z=np.uint8(3))
    assert not fold_constants(model)
    assert operators(model) == ["QuantizeLinear", "DequantizeLinear"]


def test_float_weights_behind_quantize_become_integers_as_onnxruntime_rounds_them():
    weight = (np.arange(-12, 12).reshape(6, 4) * 0.5).astype("f")  # half-way cases at scale 1
    model = graph(
        "(float[1,6] x) => (float[1,4] y) {"
        "q = QuantizeLinear<axis=1>(w, s, z) d = DequantizeLinear<axis=1>(q, s, z) y = MatMul(x, d) }",
        w=weight,
        s=np.float32([1, 1, 0.03, 2]),
        z=np.int8([0, 0, 0, 0]),
    )
    x = np.eye(1, 6, dtype="f")
    expected = evaluate(model, {"x": x}, taps=["q"])
    canonicalise(model)
    assert operators(model) == ["DequantizeLinear", "MatMul"]
    np.testing.assert_array_equal(constant(model.graph[0].inputs[0]), expected["q"])


def test_large_constants_are_folded_too():
    weight = np.ones((300, 400), "f")
    model = graph("(float[1,300] x) => (float[1,400] y) { t = Exp(w) y = MatMul(x, t) }", w=weight)
    fold_constants(model)
    assert operators(model) == ["MatMul"]


def test_a_huge_result_is_not_made():
    model = graph("(float[1] x) => (float[N] y) { z = ConstantOfShape(n) y = Add(x, z) }", n=np.int64([1 << 30]))
    fold_constants(model)
    assert operators(model) == ["ConstantOfShape", "Add"]


def test_every_result_of_a_node_is_folded():
    model = graph(
        "(float[1] x) => (float[3] y) { a, b = Split<axis=0>(w, n) y = Sub(b, a) }",
        w=np.arange(6, dtype="f"),
        n=np.int64([3, 3]),
    )
    fold_constants(model)
    assert operators(model) == []
    np.testing.assert_array_equal(constant(model.graph.outputs[0]), [3, 3, 3])


def test_constants_are_computed_as_onnxruntime_computes_them():
    """Here, and in the child process."""
    body = "a = Transpose<perm=[1,0]>(w) b = Tanh(a) c = MatMul(w, b) d = Cast<to=1>(s) e = Div(c, d) y = Add(x, e)"
    model = graph(
        f"(float[3,3] x) => (float[3,3] y) {{ {body} }}",
        w=np.linspace(-2, 2, 12, dtype="f").reshape(3, 4),
        s=np.int8([3, 5, 7]),
    )
    x = np.ones((3, 3), "f")
    expected = evaluate(model, {"x": x})["y"]
    canonicalise(model)
    assert operators(model) == ["Add"]
    np.testing.assert_allclose(evaluate(model, {"x": x})["y"], expected, rtol=1e-6)


BIG = {
    "a convolution": ("y = Conv(i, w)", {"i": (1, 16, 512, 512), "w": (64, 16, 3, 3)}),
    "products": (
        "t = MatMul(a, b) u = MatMul(t, b) v = MatMul(u, b) y = MatMul(v, b)",
        {"a": (900, 900), "b": (900, 900)},
    ),
    "an einsum": ('y = Einsum<equation="ab,cd->ac">(a, b)', {"a": (1500, 1500), "b": (1500, 1500)}),
    "windows": ("y = MaxPool<kernel_shape=[9,9]>(i)", {"i": (1, 2, 400, 400)}),
    "loops": ("y = Resize(i, , s)", {"i": (1, 2, 2000, 2000), "s": (4,)}),
}


@pytest.mark.parametrize("what", BIG)
def test_work_without_end_is_not_begun(what, monkeypatch):
    """What is not computed stays; nothing is asked of the reference operators."""
    body, shapes = BIG[what]
    outputs = f"(float[1] x) => (float[{'A,B' if 'i' not in shapes else 'A,B,C,D'}] y)"
    model = graph(f"{outputs} {{ {body} }}", **{name: np.ones(shape, "f") for name, shape in shapes.items()})

    def computed(subject, *_, **__):
        begun.append(subject)
        raise RefusedError

    begun = []
    monkeypatch.setattr(folding, "compute", computed)
    before = operators(model)
    fold_constants(model)
    assert operators(model) == before
    assert len(begun) < len(before)


def test_a_loop_over_constants_stays():
    body = helper.make_graph(
        [helper.make_node("Add", ["s", "s"], ["t"]), helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [helper.make_tensor_value_info(name, kind, []) for name, kind in (("i", 7), ("c", 9), ("s", 1))],
        [helper.make_tensor_value_info(name, kind, []) for name, kind in (("d", 9), ("t", 1))],
    )
    model = graph(
        "(float[1] x) => (float[1] y) { y = Identity(x) }", n=np.int64(1 << 60), c=np.bool_(True), s=np.float32(1)
    )
    values = [model.graph.initializers[name] for name in "ncs"]
    loop = ir.node("Loop", values, {"body": ir.serde.deserialize_graph(body)})
    loop.outputs[0].name = "l"
    model.graph.append(loop)
    model.graph.outputs.append(loop.outputs[0])
    fold_constants(model)
    assert operators(model)[-1] == "Loop"
    with pytest.raises(OpenworkError):
        lower(model)


def test_a_sequence_of_millions_is_not_written_out():
    model = graph(
        "(float[3000000] x) => (float[1] y) { q = SplitToSequence<axis=0>(x, one) y = SequenceAt(q, zero) }",
        one=np.int64(1),
        zero=np.int64(0),
    )
    fold_constants(model)
    assert operators(model) == ["SplitToSequence", "SequenceAt"]
