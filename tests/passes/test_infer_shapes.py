from openwork.passes import canonicalise
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
