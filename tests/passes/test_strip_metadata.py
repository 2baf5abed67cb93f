from openwork.passes import strip_metadata
from tests.graphs import graph, to_bytes


def test_nothing_is_left_of_what_exporters_write():
    model = graph("(float[1,4] x) => (float[1,4] y) { t = Exp<note=1>(x) y = Add(t, b) }", b=[1.0, 2.0, 3.0, 4.0])
    clean = to_bytes(model)
    secret = "/home/somebody/net.py"
    node = model.graph[0]
    bias = model.graph.initializers["b"]
    bias.const_value.raw.doc_string = secret
    bias.const_value.metadata_props["source"] = secret
    for part in [model, model.graph, node, node.outputs[0], model.graph.inputs[0], bias]:
        part.doc_string = secret
        part.metadata_props["source"] = secret
    node.attributes["note"].doc_string = secret
    assert to_bytes(model).count(secret.encode()) >= 12

    assert strip_metadata(model)
    assert to_bytes(model) == clean
    assert not strip_metadata(model)
