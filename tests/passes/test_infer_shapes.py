import numpy as np
import pytest

from openwork.errors import ModelError
from openwork.passes import canonicalise, infer_shapes
from tests.graphs import graph


def test_shapes_that_depend_on_data_or_on_unknown_operators_stay_open():
    model = graph("(float[1,4] x) => (int64[A,B] y, float[C] z) { y = NonZero(x) n = my.Op(x) z = Relu(n) }")
    canonicalise(model)
    shapes = {value.name: value.shape for node in model.graph for value in node.outputs}
    assert shapes["n"] is None
    assert not shapes["y"].is_static()


def test_an_unknown_operator_keeps_the_shape_the_model_declares():
    model = graph("(float[1,4] x) => (float[1,4] y) { y = my.Op(x) }")
    canonicalise(model)
    assert model.graph.outputs[0].shape.numpy() == (1, 4)


@pytest.mark.parametrize("size", [0, 1, 6])
def test_windows_larger_than_their_input_are_refused(size):
    """onnx gives them sizes below zero, on which its rules for Slice abort."""
    body = "p = MaxPool<kernel_shape=[8,8]>(x) y = Slice(p, s, e, a)"
    constants = {"s": np.int64([0]), "e": np.int64([2]), "a": np.int64([2])}
    model = graph(f"(float[1,2,{size},9] x) => (float[1,2,A,B] y) {{ {body} }}", **constants)
    with pytest.raises(ModelError, match=r"its result would have the shape \[1,2,-\d,2\]: they are too small for it"):
        infer_shapes(model)


def test_more_dimensions_than_numpy_has_are_refused():
    model = graph("(float[1] x) => (float[1] y) { t = Expand(x, n) y = Relu(t) }", n=np.ones(65, np.int64))
    with pytest.raises(ModelError, match=r"node 'Expand' \(Expand\): .* 65 dimensions, more than 64"):
        canonicalise(model)
