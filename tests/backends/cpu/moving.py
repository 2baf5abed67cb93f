"""Small programs that call every kernel that moves elements."""

import numpy as np

from openwork.lowering import Buffer, Gather, Pad, Program, Resampling, Resize, TakeAlong, Transpose
from tests.backends.cpu.programs import conv_program


def one(step, shape, out, dtype="float32", constants=None):
    """A program of one step from x to y."""
    buffers = {"x": Buffer(shape, dtype), "y": Buffer(out, dtype)}
    return Program(("x",), ("y",), buffers, constants or {}, (step,))


def every_moving_kind(rng):
    """Programs that together call every kernel that moves elements."""
    for dtype in ("float32", "uint8", "int16", "int64"):
        yield one(Transpose("t", "x", "y", (1, 0)), (3, 4), (4, 3), dtype)
        yield one(Pad("p", "x", "y", (1, 0, 0, 2)), (3, 4), (4, 6), dtype)
        yield one(Gather("g", ("x", "i"), "y", 0), (3, 4), (2, 4), dtype, {"i": np.array([2, 0])})
        places = {"i": np.array([[2, 0, -1, 9], [1, 1, 1, 0]])}
        yield one(TakeAlong("t", ("x", "i"), "y", 0), (3, 4), (2, 4), dtype, places)
    places, weights = np.int32([[0, 1], [2, 2]]), np.float32([[0.5, 0.5], [1, 0]])
    yield one(Resize("r", "x", "y", (Resampling(0, places, weights),)), (3, 4), (2, 4))
    conv = conv_program(rng, dtype="float32", size=(4, 4))
    buffers = {**conv.buffers, "z": Buffer((1, 2, 5, 4), "float32")}
    steps = (*conv.steps, Pad("p", "y", "z", (0, 0, 1, 0, 0, 0, 0, 0)))
    yield Program(("x",), ("z",), buffers, conv.constants, steps)
