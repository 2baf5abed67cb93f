"""Messages stay readable whatever names a file brings."""

from openwork.errors import ModelError, UnsupportedError, UnsupportedNode


def test_a_long_message_keeps_its_beginning_and_its_end():
    text = str(ModelError(f"m.tflite: tensor {'x' * 100_000!r} is damaged; export the model again"))
    assert len(text) <= 1000
    assert text.startswith("m.tflite: tensor 'xxx") and text.endswith("xxx' is damaged; export the model again")
    assert str(ModelError("short")) == "short"


def test_every_node_that_is_not_supported_is_listed():
    nodes = [UnsupportedNode(f"node{index}", "My", "no such operator") for index in range(100)]
    assert all(node.name in str(UnsupportedError(nodes)) for node in nodes)
