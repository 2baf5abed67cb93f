"""Sizes and pads of transposed convolutions."""

import pytest

from openwork.graph import TransposedAxis, settle_transposed_pads, transposed_axes
from tests.models import Writer


@pytest.mark.parametrize(
    ("attributes", "size", "pad"),
    [
        ({}, 9, 0),
        ({"pads": [1, 2]}, 6, 1),
        ({"output_padding": [1]}, 10, 0),
        ({"auto_pad": "VALID"}, 9, 0),
        ({"auto_pad": "SAME_UPPER"}, 8, 0),
        ({"auto_pad": "SAME_LOWER"}, 8, 1),
        ({"auto_pad": "SAME_UPPER", "output_padding": [1]}, 8, 1),
        ({"auto_pad": "SAME_LOWER", "output_padding": [1]}, 8, 1),
        ({"auto_pad": "SAME_LOWER", "dilations": [2]}, 8, 2),
        ({"output_shape": [6]}, 6, 2),
        ({"output_shape": [6], "auto_pad": "SAME_UPPER"}, 6, 1),
        ({"output_shape": [2]}, 2, 4),
        ({"output_shape": [10]}, 10, 0),
    ],
)
def test_pads_follow_from_attributes(attributes: dict[str, object], size: int, pad: int) -> None:
    """Four pixels apart by two, each three wide, are nine."""
    writer = Writer()
    y = writer.op(
        "ConvTranspose", writer.input("x", (1, 1, 4)), writer.input("w", (1, 1, 3)), strides=[2], **attributes
    )
    node = writer.model(y).graph.node(0)
    assert settle_transposed_pads(node, [3]) == any(name in attributes for name in ("auto_pad", "output_shape"))
    assert not settle_transposed_pads(node, [3])
    dilation = node.attributes.get_ints("dilations", [1])[0]
    assert transposed_axes(node, [3]) == [TransposedAxis(4, size, 2, dilation, 3, pad)]
