import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import given, settings

from openwork.deploy.channels_last import channels_last
from openwork.graph import evaluate
from openwork.passes import canonicalise
from tests.graphs import graph, networks, to_bytes
from tests.models import random_inputs

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)


def interface(model: ir.Model) -> list[tuple[str, list[int]]]:
    values = [*model.graph.inputs, *model.graph.outputs]
    return [(value.name, [int(size) for size in value.shape]) for value in values]


def permuted(array: np.ndarray, perm: tuple[int, ...]) -> np.ndarray:
    return array.transpose(perm) if array.ndim == 4 else array


@settings(deadline=None, max_examples=25)
@given(networks())
def test_outputs_are_the_same_in_the_other_layout(model: ir.Model) -> None:
    canonicalise(model, batch=2)
    before = to_bytes(model)
    rewritten = channels_last(model)
    assert to_bytes(model) == before
    onnx.checker.check_model(ir.to_proto(rewritten), full_check=True)
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)
    found = evaluate(rewritten, {name: permuted(array, TO_NHWC) for name, array in inputs.items()})
    assert list(found) == list(expected)
    for name, result in found.items():
        np.testing.assert_allclose(permuted(result, TO_NCHW), expected[name], rtol=1e-5, atol=1e-5)


def test_names_and_other_ranks_stay() -> None:
    model = graph("""(float[1,2,3,4] x, float[5] bias) => (float[1,2,3,4] y, float[5] z) {
        y = Relu(x)
        z = Relu(bias)
    }""")
    assert interface(channels_last(model)) == [
        ("x", [1, 3, 4, 2]),
        ("bias", [5]),
        ("y", [1, 3, 4, 2]),
        ("z", [5]),
    ]


def test_an_output_that_is_read_inside_too_keeps_its_readers() -> None:
    model = graph("""(float[1,2,3,4] x) => (float[1,2,3,4] y, float[1,2,3,4] z) {
        y = Relu(x)
        z = Neg(y)
    }""")
    x = random_inputs(model)["x"]
    found = evaluate(channels_last(model), {"x": x.transpose(TO_NHWC)})
    np.testing.assert_array_equal(found["z"], -found["y"])


def test_new_names_do_not_collide_with_old_ones() -> None:
    model = graph("""(float[1,2,3,4] x) => (float[1,2,3,4] y) {
        x_nchw = Relu(x)
        y = Neg(x_nchw)
    }""")
    x = random_inputs(model)["x"]
    found = evaluate(channels_last(model), {"x": x.transpose(TO_NHWC)})["y"]
    np.testing.assert_array_equal(found.transpose(TO_NCHW), -np.maximum(x, 0))
