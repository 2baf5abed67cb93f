import pytest

from openwork.errors import ModelError
from openwork.passes import canonicalise, set_static_shapes
from tests.graphs import graph


def network(shape="N,3,H,W"):
    return graph(f"(float[{shape}] x) => (float[A,B,C,D] y) {{ r = Relu(x) y = Exp(r) }}")


def shape_of(model, name):
    values = [*model.graph.inputs, *(output for node in model.graph for output in node.outputs)]
    return next(value.shape.numpy() for value in values if value.name == name)


def test_symbolic_batch():
    model = network("N,3,8,8")
    canonicalise(model, batch=4)
    assert shape_of(model, "x") == shape_of(model, "r") == shape_of(model, "y") == (4, 3, 8, 8)


def test_given_shapes_replace_the_models():
    model = network("1,3,8,8")
    canonicalise(model)
    canonicalise(model, shapes={"x": (2, 3, 4, 5)})
    assert shape_of(model, "x") == shape_of(model, "r") == shape_of(model, "y") == (2, 3, 4, 5)


def test_a_fixed_batch_stays():
    model = network("2,3,8,8")
    for batch in (1, 2):
        assert not set_static_shapes(model, {}, batch=batch)
        assert shape_of(model, "x") == (2, 3, 8, 8)
    with pytest.raises(ModelError, match=r"batch 7: no input leaves its first dimension open, they are x \[2,3,8,8\]"):
        set_static_shapes(model, {}, batch=7)


def test_another_symbolic_dimension_is_named_with_the_remedy():
    with pytest.raises(ModelError, match=r"'x': dimension 2 is symbolic \(H\); give --set-shape x=1,3,224,8 with"):
        canonicalise(network("N,3,H,8"))
    with pytest.raises(ModelError, match=r"'x': dimensions 2, 3 are symbolic \(H, W\); give --set-shape x=1,3,224,224"):
        canonicalise(network())


def test_all_inputs_that_need_a_shape_are_named_at_once():
    model = graph("(float[N,T] a, float[2] b, float c, float[N,T,8] d) => (float[A,B] y) { y = Add(a, c) }")
    model.graph.inputs[2].shape = None
    advice = "'a': dimension 1 is symbolic .* give --set-shape a=1,128 --set-shape c=.* --set-shape d=1,128,8 with"
    with pytest.raises(ModelError, match=advice):
        canonicalise(model)
    with pytest.raises(ModelError, match="'c': its shape is unknown"):
        canonicalise(model, shapes={"a": (1, 2), "d": (1, 2, 8)})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"z": (1, 3, 8, 8)}, "'z': the model has none of this name; it has 'x'"),
        ({"x": (3, 8, 8)}, "does not fit the model's"),
        ({"x": (1, 3, 0, 8)}, "size below 1"),
    ],
)
def test_shapes_that_do_not_fit(shapes, message):
    with pytest.raises(ModelError, match=message):
        canonicalise(network(), shapes=shapes)


def test_a_shape_the_graph_cannot_take_names_the_node():
    model = graph("(float[N,3] x) => (float[A,B] y) { z = Flatten(x) y = MatMul(z, z) }")
    with pytest.raises(ModelError, match="MatMul"):
        canonicalise(model, shapes={"x": (1, 3)})
