"""Programs that resize integers."""

import numpy as np

from openwork.lowering import (
    Binary,
    Buffer,
    FixedResampling,
    FixedResize,
    GridSample,
    IntegerResize,
    Program,
    Resampling,
)
from tests.backends.cpu.programs import conv_program


def resized(rng, dtypes, shape, sizes, *, fixed=False):
    """A program that resizes x, of the first dtype, along axes to sizes, to y, of the second."""
    out = tuple(sizes.get(axis, size) for axis, size in enumerate(shape))
    buffers = {"x": Buffer(shape, dtypes[0]), "y": Buffer(out, dtypes[0] if fixed else dtypes[1])}
    return Program(("x",), ("y",), buffers, {}, (resize(rng, dtypes, shape, sizes, fixed=fixed),))


def resize(rng, dtypes, shape, sizes, *, fixed):
    axes = []
    for axis in sorted(sizes):
        places = rng.integers(0, shape[axis], (sizes[axis], 2)).astype(np.int32)
        if fixed:
            upper = rng.choice([0, 1, 512, 1023, 1024, 333], sizes[axis])
            axes.append(FixedResampling(axis, places, np.stack([1024 - upper, upper], 1).astype(np.int32)))
        else:
            upper = rng.random(sizes[axis]).round(2)
            axes.append(Resampling(axis, places, np.stack([1 - upper, upper], 1).astype(np.float32)))
    x, y = (np.iinfo(dtype) for dtype in dtypes)
    if fixed:
        return FixedResize("r", "x", "y", tuple(axes), x.min + int(rng.integers(0, 9)), x.max)
    zeros = (int(rng.integers(x.min, x.max + 1)), int(rng.integers(y.min, y.max + 1)))
    scales = (float(np.float32(rng.uniform(0.01, 1))), float(np.float32(rng.uniform(0.01, 1))))
    return IntegerResize("r", "x", "y", tuple(axes), scales[0], zeros[0], scales[1], zeros[1], y.min, y.max - 5)


def between_convolutions(rng, dtype, size, sizes, *, fixed):
    """An image in planes, resized, before another convolution: in planes throughout."""
    conv = conv_program(rng, dtype=dtype, batch=2, outs=9, size=size)
    shape = conv.buffers["y"].shape
    step = resize(rng, (dtype, dtype), shape, sizes, fixed=fixed)
    step = type(step)(**{**vars(step), "input": "y", "output": "z"})
    out = tuple(sizes.get(axis, length) for axis, length in enumerate(shape))
    last = conv_program(rng, dtype=dtype, batch=2, per_group=9, outs=3, size=out[2:])
    zero = conv.steps[0].requantize.zero_point if fixed else step.zero_point
    again = type(last.steps[0])(
        **{**vars(last.steps[0]), "name": "again", "input": "z", "output": "o", "weight": "w2", "bias": None}
        | {"input_zero_point": zero}
    )
    buffers = {**conv.buffers, "z": Buffer(out, dtype), "o": last.buffers["y"]}
    constants = {**conv.constants, "w2": last.constants["w"]}
    return Program(("x",), ("o",), buffers, constants, (*conv.steps, step, again))


SAMPLES = [
    (mode, padding, corners)
    for mode in ("nearest", "linear", "cubic")
    for padding in ("zeros", "border", "reflection")
    for corners in (False, True)
]


def sampled(shape, out, mode, padding, corners):
    """A program that samples images [N, C, *shape] at any places, far outside too."""
    images = {"x": Buffer((2, 3, *shape), "float32"), "y": Buffer((2, 3, *out), "float32")}
    buffers = {**images, "n": Buffer((2, *out, len(out)), "float32"), "g": Buffer((2, *out, len(out)), "float32")}
    constants = {"f": np.float32(1.5)}
    steps = (Binary("f", ("n", "f"), "g", "mul"), GridSample("s", ("x", "g"), "y", mode, padding, corners))
    return Program(("x", "n"), ("y",), buffers, constants, steps)


def every_resizing_kind(rng):
    """Programs that together call every kernel that resizes integers."""
    for fixed in (False, True):
        yield resized(rng, ("uint8", "int8"), (2, 5), {0: 3, 1: 4}, fixed=fixed)
        yield between_convolutions(rng, "int8", (5, 6), {2: 10, 3: 15}, fixed=fixed)
    yield sampled((3, 4), (2, 5), "linear", "zeros", False)


def hard_samples(rng):
    """One pixel, one point, all of the outside."""
    for mode, padding, corners in SAMPLES:
        for shape, out in (((1, 1), (1, 1)), ((1, 7), (5, 3)), ((5, 3), (1, 9)), ((2, 1, 3), (3, 2, 2))):
            if mode != "cubic" or len(shape) == 2:
                yield sampled(shape, out, mode, padding, corners)
    far = np.float32([np.nan, np.inf, -np.inf, 1e30, -1e30, 1e9, -7, 3]).reshape(1, 2, 2, 2)
    for mode, padding, corners in SAMPLES:
        step = GridSample("s", ("x", "g"), "y", mode, padding, corners)
        buffers = {"x": Buffer((1, 2, 3, 1), "float32"), "y": Buffer((1, 2, 2, 2), "float32")}
        yield Program(("x",), ("y",), buffers, {"g": far}, (step,))


def hard_resizings(rng):
    """One pixel, more or fewer columns than a vector, one axis of several, channels behind the image."""
    for dtypes in (("uint8", "int8"), ("int8", "uint8"), ("int8", "int8")):
        for fixed in (False, True):
            for shape, sizes in (
                ((1,), {0: 1}),
                ((3,), {0: 17}),
                ((2, 5), {0: 3, 1: 4}),
                ((1, 3, 2, 33), {1: 7, 2: 1}),
                ((1, 1, 1, 1), {2: 1, 3: 1}),
                ((2, 5, 3, 4), {2: 7, 3: 17}),
                ((1, 3, 5, 20), {2: 2}),
                ((1, 3, 5, 20), {3: 33}),
                ((2, 6, 7), {2: 16}),
            ):
                yield resized(rng, dtypes, shape, sizes, fixed=fixed)
            yield between_convolutions(rng, dtypes[0], (5, 3), {2: 2, 3: 33}, fixed=fixed)
