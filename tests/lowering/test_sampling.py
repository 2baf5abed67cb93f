"""GridSample, lowered and interpreted, against onnxruntime."""

from itertools import product

import numpy as np
import pytest

from openwork.errors import UnsupportedError
from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.models import Writer

OLD_NAMES = {"linear": "bilinear", "cubic": "bicubic"}  # before opset 20
PADDINGS = ("zeros", "border", "reflection")


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_images_are_sampled_as_onnxruntime_does(mode: str, padding: str, corners: int) -> None:
    """Inside, at the edges, between pixels and far outside; of two and three dimensions; a grid of run time or not."""
    for opset, sizes, constant in product((16, 20), ((4, 5), (3, 2, 4)), (False, True)):
        if len(sizes) == 3 and (opset == 16 or mode == "cubic"):
            continue
        writer = Writer(opset=opset)
        x = writer.input("x", (2, 3, *sizes))
        random = np.random.default_rng(0)
        grid = random.uniform(-1.5, 1.5, (2, 3, 4, *sizes[2:], len(sizes))).astype(np.float32)
        grid[0] = np.rint(grid[0] * 4) / 4
        grid[1, 0] *= 9
        name = writer.constant(grid) if constant else writer.input("grid", grid.shape)
        named = OLD_NAMES.get(mode, mode) if opset < 20 else mode
        y = writer.op("GridSample", x, name, name="y", mode=named, padding_mode=padding, align_corners=corners)
        model = writer.model(y)
        inputs = {"x": random.standard_normal((2, 3, *sizes)).astype(np.float32)}
        inputs |= {} if constant else {"grid": grid}
        expected = evaluate(model, inputs)[y]
        canonicalise(model)
        np.testing.assert_allclose(interpreter.run(lower(model), inputs)[y], expected, rtol=0, atol=1e-5)


def test_cubic_sampling_of_volumes_is_refused() -> None:
    writer = Writer()
    y = writer.op("GridSample", writer.input("x", (1, 1, 2, 2, 2)), writer.input("g", (1, 1, 1, 1, 3)), mode="cubic")
    with pytest.raises(UnsupportedError, match="mode 'cubic' on 3 spatial dimensions"):
        lower(writer.model(y))
