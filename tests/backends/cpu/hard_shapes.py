"""Programs of shapes at which kernels go wrong, for every family of steps.

Odd sizes, images of one pixel, channels that fill no lane, rows without weights, layers of nothing but zeros,
strides over kernels, padding larger than the image.
"""

from dataclasses import replace

import numpy as np

from openwork.lowering import (
    Add,
    AddScales,
    AveragePool,
    Binary,
    Bounds,
    Buffer,
    Clip,
    Concat,
    Dequantize,
    Expand,
    Gather,
    MaxPool,
    Mean,
    Pad,
    Program,
    Quantize,
    Reduce,
    Resampling,
    Rescale,
    Resize,
    Slice,
    Softmax,
    TakeAlong,
    Transpose,
    Unary,
)
from tests.backends.cpu.fixed_point import (
    ROUNDINGS,
    fixed_add,
    fixed_conv,
    fixed_fully_connected,
    fixed_softmax,
    random_requantize,
    whole_mean,
    zero_of,
)
from tests.backends.cpu.moving import one
from tests.backends.cpu.programs import conv_program, out_size, random_product_scale, random_scale
from tests.backends.cpu.resizing import hard_resizings, hard_samples
from tests.backends.cpu.test_elementwise import (
    CASTABLE,
    COMPARISONS,
    INTEGER_PAIRS,
    OPERANDS,
    behind_conv,
    binary_program,
    cast_program,
    lookup_program,
    mul_program,
    select_program,
    unary_program,
)
from tests.backends.cpu.test_matrix import layer, product
from tests.backends.cpu.test_reducing import (
    FUNCTIONS,
    arg_maxes,
    integer_normalized,
    integer_softmax,
    integer_sum,
    normalized,
    quantized_softmax,
    reduced,
    reductions,
    top_ks,
)

DTYPES = ("float32", "uint8", "int8")
WIDTHS = ("float32", "uint8", "int16", "int64")  # one of each size of element

NONE = (0, 0, 0, 0)
CONVOLUTIONS = {
    "one pixel": {"size": (1, 1), "kernel": (1, 1), "pads": NONE, "per_group": 5, "outs": 7},
    "one padded pixel": {"size": (1, 1), "kernel": (3, 3), "per_group": 1, "outs": 1},
    "kernel over the image": {"size": (2, 3), "kernel": (5, 7), "pads": (2, 3, 2, 3), "per_group": 6, "outs": 5},
    "stride over the kernel": {"size": (7, 9), "kernel": (2, 2), "strides": (3, 5), "pads": NONE, "outs": 3},
    "stride over the image": {"size": (3, 2), "kernel": (1, 1), "strides": (7, 9), "pads": NONE, "per_group": 9},
    "huge padding": {"size": (3, 2), "kernel": (2, 3), "pads": (11, 9, 10, 12), "strides": (2, 1), "outs": 5},
    "huge padding, no weights": {"size": (4, 4), "pads": (9, 9, 9, 9), "density": 0.0, "outs": 6},
    "all zeros, no bias": {"size": (5, 5), "density": 0.0, "per_group": 5, "outs": 9, "bias": False},
    "empty rows": {"size": (9, 7), "density": 0.04, "per_group": 3, "outs": 13},
    "odd groups": {"size": (31, 33), "batch": 3, "groups": 3, "per_group": 2, "outs": 3},
    "depthwise": {"size": (1, 19), "groups": 7, "per_group": 1, "outs": 1, "density": 1.0},
    "one column": {"size": (37, 1), "kernel": (3, 1), "pads": (2, 0, 0, 0), "per_group": 5, "density": 1.0},
    "dilated": {"size": (9, 13), "dilations": (3, 4), "pads": (1, 5, 5, 3), "strides": (1, 2), "outs": 3},
    "deep": {"size": (33, 17), "strides": (2, 2), "per_group": 70, "outs": 5, "density": 0.1},
    "dense and odd": {"size": (13, 11), "per_group": 7, "outs": 10, "density": 1.0, "batch": 2},
}
# rows, inputs, outputs, density
LAYERS = (
    (1, 1, 1, 1.0),
    (1, 17, 3, 0.1),
    (2, 701, 3, 0.01),
    (3, 70, 5, 0.0),
    (2, 65, 18, 1.0),
    (17, 1, 1, 1.0),
    (35, 33, 7, 0.1),
)
# image, kernel, strides, pads, images, channels
POOLS = (
    ((1, 1), (1, 1), (1, 1), NONE, 1, 1),
    ((1, 1), (3, 3), (1, 1), (1, 1, 1, 1), 2, 5),
    ((2, 3), (9, 9), (1, 1), (8, 8, 8, 8), 1, 3),
    ((7, 6), (2, 2), (5, 4), NONE, 3, 7),
    ((3, 3), (1, 1), (9, 9), NONE, 1, 9),
    ((1, 35), (1, 4), (1, 3), (0, 3, 0, 1), 1, 2),
    ((19, 17), (3, 2), (2, 1), (1, 0, 0, 1), 1, 1),
)
SHAPES = ((), (1,), (1, 1, 1, 1), (17,), (3, 5, 7))
IMAGES = ((1, 1, 1, 1), (2, 5, 1, 1), (1, 3, 1, 37), (1, 9, 7, 3))


def every_hard_shape(rng):
    """Programs of all families."""
    yield from convolutions(rng)
    yield from fully_connected(rng)
    yield from pools(rng)
    yield from means(rng)
    yield from elementwise(rng)
    yield from integers(rng)
    yield from on_planes(rng)
    yield from moves(rng)
    yield from reductions_of_all(rng)
    yield from products(rng)


def convolutions(rng):
    for arguments in CONVOLUTIONS.values():
        for dtype in DTYPES:
            program = conv_program(rng, dtype=dtype, **arguments)
            yield program
            yield with_residual(rng, program)
        for dtype, rounding in zip(("uint8", "int8"), ROUNDINGS, strict=True):
            yield fixed_conv(rng, rounding, dtype=dtype, **arguments)
            yield fixed_conv(rng, rounding, dtype=dtype, residual=True, **arguments)


def with_residual(rng, program):
    """The same convolution with another image added."""
    y = program.buffers["y"]
    scales, bounds = add_scales(rng, y.dtype), Bounds(0) if y.dtype == "float32" else Bounds()
    step = replace(program.steps[0], residual=Add("add", ("middle", "r"), "y", bounds, scales))
    return Program(("x", "r"), ("y",), {**program.buffers, "r": y}, program.constants, (step,))


def add_scales(rng, dtype):
    if dtype == "float32":
        return None
    limits = np.iinfo(dtype)
    zeros = (zero_of(rng, dtype), zero_of(rng, dtype))
    return AddScales((0.6, 1.3), zeros, zero_of(rng, dtype), limits.min, limits.max, int(rng.integers(2)))


def fully_connected(rng):
    for rows, inputs, outputs, density in LAYERS:
        for dtype in DTYPES:
            yield layer(rng, dtype, (rows, inputs), outputs, density)
        for dtype, rounding in zip(("uint8", "int8"), ROUNDINGS, strict=True):
            yield fixed_fully_connected(rng, rounding, dtype, density, rows, inputs, outputs)


def pools(rng):
    for size, kernel, strides, pads, images, channels in POOLS:
        out = [out_size(size[i], kernel[i], strides[i], pads[i], pads[i + 2], 1) for i in (0, 1)]
        window = (kernel, strides, pads, (1, 1))
        for dtype in DTYPES:
            yield one(MaxPool("p", "x", "y", *window), (images, channels, *size), (images, channels, *out), dtype)
            zero = 0 if dtype == "float32" else zero_of(rng, dtype)
            roundings = (None, None)
            if dtype != "float32":
                roundings = (random_scale(rng, 1, dtype, 100), whole_mean(rng, dtype, zero))
            for to, counted in zip(roundings, (NONE, pads), strict=True):
                step = AveragePool("p", "x", "y", *window, counted, zero, to)
                yield one(step, (images, channels, *size), (images, channels, *out), dtype)


def means(rng):
    """Of images in planes, behind a pool that brings them there, and of rows."""
    for shape in IMAGES:
        for dtype in DTYPES:
            zero = 0 if dtype == "float32" else zero_of(rng, dtype)
            to = None if dtype == "float32" else random_scale(rng, 1, dtype, 100)
            buffers = {name: Buffer(shape, dtype) for name in "xp"}
            buffers |= {"m": Buffer(shape[:2], dtype), "r": Buffer(shape[:2], dtype), "n": Buffer(shape[1:], dtype)}
            steps = (
                MaxPool("p", "x", "p", (1, 1), (1, 1), NONE, (1, 1)),
                Mean("m", "p", "m", (2, 3), zero, to),
                Reduce("r", "p", "r", (2, 3), "max"),
                Mean("n", "x", "n", (0,), zero, to),
            )
            yield Program(("x",), ("m", "r", "n"), buffers, {}, steps)


def elementwise(rng):
    for shape in SHAPES:
        yield unary_program(("abs", "exp", "erf", "gelu", "hard_swish", "sigmoid", "sin", "tanh"), shape)
        yield binary_program(("add", "mul", "sub", "max", "prelu"), shape, shape[1:], "float32")
        yield binary_program(COMPARISONS, shape, shape[1:], "float32", "bool")
        for dtype in ("int32", "int64"):
            yield unary_program(("abs", "neg", "sign"), shape, dtype)
            yield binary_program(INTEGER_PAIRS, shape[1:], shape, dtype)
            yield binary_program(COMPARISONS, shape, shape, dtype, "bool")
        yield unary_program(("not",), shape, "bool")
        yield binary_program(("and", "or", "xor", "equal"), shape, shape[1:], "bool")
        for dtype in WIDTHS:
            yield select_program(dtype, (shape[1:], shape, ()))
        for dtype in CASTABLE:
            yield cast_program(dtype, shape)
        yield lookup_program(rng, "int8", "uint8", shape)


def integers(rng):
    """Sums, products, rescalings; there and back between floats and integers."""
    for shape in (*SHAPES, (63,), (65,), (1, 3, 43)):
        for dtype, rounding in zip(("uint8", "int8"), ROUNDINGS, strict=True):
            yield mul_program(rng, shape, shape[1:], (dtype, "uint8", dtype), rounding)
            yield mul_program(rng, shape, shape, (dtype, "int8", dtype))
            yield fixed_add(rng, rounding, dtype, (shape, shape[1:]))
            names = {"a": Buffer(shape, dtype), "b": Buffer(shape[1:], dtype), "y": Buffer(shape, dtype)}
            yield Program(("a", "b"), ("y",), names, {}, (Add("a", ("a", "b"), "y", Bounds(), add_scales(rng, dtype)),))
            yield one(Rescale("r", "x", "y", 3, random_requantize(rng, rounding, dtype)), shape, shape, dtype)
            yield one(Rescale("r", "x", "y", 3, random_scale(rng, 1, dtype, 100)), shape, shape, dtype)
        for dtype in ("uint8", "int8", "uint16", "int16"):
            buffers = {"x": Buffer(shape, "float32"), "q": Buffer(shape, dtype), "y": Buffer(shape, "float32")}
            for rounding in ("float32", "q31"):
                steps = (Quantize("q", "x", "q", 0.01, 3, rounding), Dequantize("d", "q", "y", 0.01, 3))
                yield Program(("x",), ("q", "y"), buffers, {}, steps)


def on_planes(rng):
    """Elementwise steps over the planes of a convolution, with operands of every shape that broadcasts."""
    for size in ((1, 1), (3, 5)):
        for dtype in DTYPES:
            conv = conv_program(rng, dtype=dtype, batch=2, outs=5, size=size)
            shape = conv.buffers["y"].shape
            for operand in OPERANDS.values():
                other = tuple(min(at, to) for at, to in zip(operand, shape[-len(operand) :], strict=True))
                mul = Binary("m", ("y", "o"), "z", "mul", (3, 5), product_scale_of(rng, dtype))
                yield behind_conv(conv, ("o", other), [mul], shape)
                add = Add("a", ("y", "o"), "z", Bounds(), add_scales(rng, dtype))
                yield behind_conv(conv, ("o", other), [add], shape)
            last = Rescale("r", "y", "z", 3, random_scale(rng, 1, dtype, 100)) if dtype != "float32" else None
            for step in (last,) if last else (Clip("c", "y", "z", Bounds(-1, 2)), Unary("u", "y", "z", "sigmoid")):
                buffers = {**conv.buffers, "z": conv.buffers["y"]}
                yield Program(("x",), ("z",), buffers, conv.constants, (*conv.steps, step))


def product_scale_of(rng, dtype):
    return None if dtype == "float32" else random_product_scale(rng, dtype)


def moves(rng):
    for dtype in WIDTHS:
        for shape in ((1, 1), (1, 7), (33, 17), (5, 1)):
            yield one(Transpose("t", "x", "y", (1, 0)), shape, shape[::-1], dtype)
        yield one(Transpose("t", "x", "y", (3, 1, 0, 2)), (2, 1, 5, 3), (3, 1, 2, 5), dtype)
        for mode in ("constant", "edge", "reflect", "wrap"):
            far = (21, 1, 19, 0) if mode in ("constant", "edge") else (2, 1, 2, 0)
            yield one(Pad("p", "x", "y", far, mode, 7), (3, 2), (3 + far[0] + far[2], 3), dtype)
        yield one(Pad("p", "x", "y", (0, 40)), (1,), (41,), dtype)
        yield one(Slice("s", "x", "y", (6, 2), (-3, 5)), (7, 13), (3, 3), dtype)
        yield one(Slice("s", "x", "y", (0,), (1,)), (1,), (1,), dtype)
        yield one(Expand("e", "x", "y"), (3, 1), (5, 3, 7), dtype)
        yield one(Expand("e", "x", "y"), (1,), (1,), dtype)
        yield one(Gather("g", ("x", "i"), "y", 1), (3, 1, 5), (3, 3, 5), dtype, {"i": np.array([0, -1, 0])})
        buffers = {"x": Buffer((7, 3), dtype), "i": Buffer((5,), "int64"), "y": Buffer((5, 3), dtype)}
        yield Program(("x", "i"), ("y",), buffers, {}, (Gather("g", ("x", "i"), "y", 0),))
        for shape, axis, count in (((1,), 0, 1), ((7, 3), 0, 5), ((2, 9, 3), 1, 1), ((3, 5), 1, 17)):
            out = tuple(count if at == axis else size for at, size in enumerate(shape))
            buffers = {"x": Buffer(shape, dtype), "i": Buffer(out, "int64"), "y": Buffer(out, dtype)}
            yield Program(("x", "i"), ("y",), buffers, {}, (TakeAlong("t", ("x", "i"), "y", axis),))
        buffers = {"x": Buffer((1, 3, 5), dtype), "o": Buffer((1, 1, 5), dtype), "y": Buffer((1, 8, 5), dtype)}
        yield Program(("x", "o"), ("y",), buffers, {}, (Concat("c", ("o", "x", "o", "x"), "y", 1),))
        nearest = Resampling(1, np.int32([[0], [2], [2], [1], [0]]), None)
        yield one(Resize("r", "x", "y", (nearest,)), (1, 3, 1), (1, 5, 1), dtype)
    for shape in ((1, 1), (3, 1), (5, 17)):
        places, weights = rng.integers(0, shape[0], (7, 3)).astype(np.int32), rng.random((7, 3)).astype(np.float32)
        yield one(Resize("r", "x", "y", (Resampling(0, places, weights),)), shape, (7, shape[1]))
    yield from moves_on_planes(rng)
    yield from hard_resizings(rng)
    yield from hard_samples(rng)


def moves_on_planes(rng):
    """Pixels padded far, images cut and joined, behind a convolution."""
    for size in ((1, 1), (5, 3)):
        for dtype in DTYPES:
            conv = conv_program(rng, dtype=dtype, batch=2, outs=9, size=size)
            shapes = {"p": (2, 9, size[0] + 30, size[1] + 17), "s": (2, 4, *size), "c": (2, 13, *size)}
            steps = (
                *conv.steps,
                Pad("p", "y", "p", (0, 0, 13, 17, 0, 0, 17, 0)),
                Slice("s", "y", "s", (0, 4, 0, 0), (1, 1, 1, 1)),
                Concat("c", ("s", "y"), "c", 1),
            )
            buffers = {**conv.buffers, **{name: Buffer(shape, dtype) for name, shape in shapes.items()}}
            yield Program(("x",), ("p", "s", "c"), buffers, conv.constants, steps)


def reductions_of_all(rng):
    for dtype in FUNCTIONS:
        for shape, axes in (((1,), (0,)), ((1, 1, 1), (1,)), ((3, 33, 5), (1,)), ((5, 17), (0, 1)), ((2, 3, 1), (2,))):
            yield reductions(dtype, shape, axes)
            if dtype != "bool":
                yield arg_maxes(dtype, shape, axes[0])
                for k in {1, (shape[axes[0]] + 1) // 2, shape[axes[0]]}:
                    yield top_ks(dtype, shape, axes[0], k)
    for dtype in ("uint8", "int8"):
        for shape, axes in (((1,), (0,)), ((5, 17), (0, 1)), ((3, 1, 5), (1,))):
            yield integer_sum(rng, dtype, shape, axes)
            to = random_requantize(rng, "q31", dtype)
            yield integer_sum(rng, dtype, shape, axes, to)
        for shape, axis in (((1,), 0), ((3, 1), 1), ((3, 17), 1), ((5, 3), 0)):
            yield fixed_softmax(rng, dtype, shape, axis)
            yield integer_softmax(rng, (dtype, dtype), shape, axis)
            yield quantized_softmax(rng, dtype, shape, axis)
            for centred in (False, True):
                yield integer_normalized(rng, (dtype, dtype), shape, (axis,), shape[axis:], shape[-1:], centred)
    for shape, axis in (((1,), 0), ((3, 1), 1), ((3, 17), 1), ((2, 35, 3), 1)):
        for logarithm in (False, True):
            yield one(Softmax("s", "x", "y", axis, logarithm), shape, shape)
        scale = shape[axis:]
        yield normalized(rng, shape, (axis,), scale, scale)
        yield normalized(rng, shape, (axis,), None, None, centred=False)
        yield one(Mean("m", "x", "y", (axis,)), shape, reduced(shape, (axis,)))


def products(rng):
    for dtype in DTYPES:
        for a, b in (
            ((1, 1), (1, 1)),
            ((5, 3), (3, 17)),
            ((33, 5), (5, 1)),
            ((1, 67), (67, 33)),
            ((2, 1, 3, 7), (5, 7, 9)),
            ((7,), (7,)),
        ):
            yield product(rng, dtype, a, b)
            yield product(rng, dtype, a, b, constant=True)
