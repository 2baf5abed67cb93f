import pytest

from openwork.errors import UnsupportedError
from openwork.passes import canonicalise
from tests.graphs import graph


def test_all_nodes_where_shapes_get_lost_are_listed():
    model = graph("(float[1,4] x) => (int64[A,B] y, float[C] z) { y = NonZero(x) n = my.Op(x) z = Relu(n) }")
    with pytest.raises(UnsupportedError) as caught:
        canonicalise(model)
    assert [(node.operator, node.name) for node in caught.value.nodes] == [
        ("NonZero", "NonZero"),
        ("my::Op", "Op"),
    ]
    assert "'y'" in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_operator_keeps_the_shape_the_model_declares():
    model = graph("(float[1,4] x) => (float[1,4] y) { y = my.Op(x) }")
    canonicalise(model)
    assert model.graph.outputs[0].shape.numpy() == (1, 4)
