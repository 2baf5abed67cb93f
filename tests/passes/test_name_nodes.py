from openwork.passes import name_nodes
from tests.graphs import graph


def test_names_come_from_operators_and_are_unique():
    model = graph("(float[1] x) => (float[1] y) { a = Relu(x) [act] b = Relu(a) [act] c = Relu(b) y = Relu(c) }")
    assert name_nodes(model)
    assert [node.name for node in model.graph] == ["Relu", "act", "act_1", "Relu_1"]
    assert not name_nodes(model)
