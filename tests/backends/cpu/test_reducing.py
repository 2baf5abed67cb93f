"""Steps that look along axes, on every instruction set."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openwork.lowering import (
    Q31,
    ArgMax,
    Buffer,
    Conv,
    IntegerNormalize,
    IntegerSoftmax,
    Mean,
    Normalize,
    Program,
    QuantizedSoftmax,
    Reduce,
    Shift,
    Softmax,
    TopK,
    interpreter,
)
from tests.backends.cpu.programs import (
    check_everywhere,
    conv_program,
    random_activation,
    random_scale,
    run_everywhere,
)

some = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
FUNCTIONS = {
    "float32": ("sum", "max", "min", "prod"),
    "int32": ("sum", "max", "min", "prod"),
    "int64": ("sum", "max", "min", "prod"),
    "int8": ("max", "min"),
    "uint8": ("max", "min"),
    "bool": ("max", "min"),
}
BYTES = ("int8", "uint8")


def reduced(shape, axes, keep=False):
    return tuple(1 if i in axes else size for i, size in enumerate(shape) if keep or i not in axes)


def reductions(dtype, shape, axes, keep=False):
    """Every function over the same axes, each an output."""
    names = FUNCTIONS[dtype]
    buffers = {name: Buffer(reduced(shape, axes, keep), dtype) for name in names}
    steps = tuple(Reduce(name, "x", name, axes, name) for name in names)
    return Program(("x",), names, {"x": Buffer(shape, dtype), **buffers}, {}, steps)


def arg_maxes(dtype, shape, axis):
    """Of every kind, each an output."""
    kinds = [(smallest, last) for smallest in (False, True) for last in (False, True)]
    names = tuple(f"y{i}" for i in range(4))
    buffers = {"x": Buffer(shape, dtype)} | {name: Buffer(reduced(shape, (axis,)), "int64") for name in names}
    steps = tuple(ArgMax(name, "x", name, axis, *kind) for name, kind in zip(names, kinds, strict=True))
    return Program(("x",), names, buffers, {}, steps)


def top_ks(dtype, shape, axis, k):
    """The largest and the smallest, each an output."""
    out = tuple(k if at == axis else size for at, size in enumerate(shape))
    buffers = {"x": Buffer(shape, dtype), "y": Buffer(out, "int64"), "z": Buffer(out, "int64")}
    steps = (TopK("l", "x", "y", axis), TopK("s", "x", "z", axis, True))
    return Program(("x",), ("y", "z"), buffers, {}, steps)


def integer_sum(rng, dtype, shape, axes, to=None):
    limits = np.iinfo(dtype)
    count = np.prod([shape[axis] for axis in axes])
    to = to or random_scale(rng, 1, dtype, 128 * count**0.5)
    step = Reduce("r", "x", "y", axes, "sum", int(rng.integers(limits.min, limits.max + 1)), to)
    buffers = {"x": Buffer(shape, dtype), "y": Buffer(reduced(shape, axes), dtype)}
    return Program(("x",), ("y",), buffers, {}, (step,))


def normalized(rng, shape, axes, scale, bias, centred=True, constant=True):
    """scale, bias: their shapes, or None."""
    operands = {"s": scale, "b": bias}
    buffers = {"x": Buffer(shape, "float32"), "y": Buffer(shape, "float32")}
    given = {name: Buffer(each, "float32") for name, each in operands.items() if each is not None}
    names = [name if each is not None else None for name, each in operands.items()]
    step = Normalize("n", "x", "y", axes, 1e-5, *names, centred)
    if constant:
        constants = {name: random_activation(rng, buffer) for name, buffer in given.items()}
        return Program(("x",), ("y",), buffers, constants, (step,))
    return Program(("x", *given), ("y",), buffers | given, {}, (step,))


def limits_of(rng, dtype):
    """A zero point and bounds."""
    whole = np.iinfo(dtype)
    return int(rng.integers(whole.min, whole.max + 1)), *sorted(rng.integers(whole.min, whole.max + 1, 2).tolist())


def integer_softmax(rng, dtypes, shape, axis, scale=0.03):
    """Of one dtype to another."""
    powers = np.rint(np.exp(-scale * np.arange(256)) * 2**30).astype(np.int32)
    to = (float(np.float32(rng.uniform(0.001, 0.01))), *limits_of(rng, dtypes[1]))
    buffers = {"x": Buffer(shape, dtypes[0]), "y": Buffer(shape, dtypes[1])}
    return Program(("x",), ("y",), buffers, {}, (IntegerSoftmax("s", "x", "y", axis, powers, *to),))


def quantized_softmax(rng, dtype, shape, axis):
    powers = np.rint(np.exp(-np.arange(321) / 16) * 2**30).astype(np.float32)
    powers[-1] = 0
    to = (float(np.float32(rng.uniform(0.001, 0.01))), *limits_of(rng, dtype))
    buffers = {"x": Buffer(shape, "float32"), "y": Buffer(shape, dtype)}
    return Program(("x",), ("y",), buffers, {}, (QuantizedSoftmax("s", "x", "y", axis, powers, 16, *to),))


def integer_normalized(rng, dtypes, shape, axes, scale, bias, centred=True, epsilon=0.5):
    """Of one dtype to another; scale, bias: their shapes."""
    scales, zero = rng.uniform(0.01, 0.1, 2).astype(np.float32).tolist(), limits_of(rng, dtypes[0])[0]
    to = (scales[1], *limits_of(rng, dtypes[1]))
    step = IntegerNormalize("n", "x", "y", axes, scales[0], zero, epsilon, "s", "b", *to, centred)
    constants = {"s": rng.standard_normal(scale, np.float32), "b": rng.standard_normal(bias, np.float32)}
    buffers = {"x": Buffer(shape, dtypes[0]), "y": Buffer(shape, dtypes[1])}
    return Program(("x",), ("y",), buffers, constants, (step,))


def after_conv(rng, dtype, make):
    """A step behind a convolution, on planes; `make` makes it from its input's name."""
    program = conv_program(rng, dtype=dtype, batch=2, outs=6, size=(5, 8))
    step = make("y")
    shape = program.buffers["y"].shape
    buffers = {**program.buffers, "z": Buffer(reduced(shape, (2, 3), keep=True), dtype)}
    return Program(("x",), ("z",), buffers, program.constants, (*program.steps, step))


def every_reduction(rng):
    """Programs that together call every kernel that looks along axes."""
    for dtype in FUNCTIONS:
        yield reductions(dtype, (3, 5, 4), (1,))
        yield reductions(dtype, (3, 20), (1,))
        if dtype != "bool":
            yield arg_maxes(dtype, (3, 5, 4), 1)
            yield top_ks(dtype, (3, 5, 4), 1, 2)
    for dtype in BYTES:
        yield integer_sum(rng, dtype, (3, 20), (1,))
        yield integer_softmax(rng, (dtype, dtype), (3, 20), 1)
        yield quantized_softmax(rng, dtype, (3, 20), 1)
        yield integer_normalized(rng, (dtype, dtype), (3, 20), (1,), (20,), (20,))
    for dtype in ("float32", "uint8"):
        yield after_conv(rng, dtype, lambda name: Reduce("r", name, "z", (2, 3), "max"))
    yield normalized(rng, (3, 20), (1,), (20,), (20,))


@st.composite
def shapes_and_axes(draw):
    shape = draw(st.lists(st.sampled_from([1, 2, 3, 5, 18, 33]), min_size=1, max_size=4))
    axes = draw(st.sampled_from([axes for n in range(len(shape) + 1) for axes in combinations(range(len(shape)), n)]))
    return tuple(shape), axes


@settings(some, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.sampled_from(list(FUNCTIONS)), shapes_and_axes(), st.booleans())
def test_reduce(seed, dtype, shape_and_axes, keep):
    """Products of many integers wrap around, in both."""
    shape, axes = shape_and_axes
    check_everywhere(reductions(dtype, shape, axes, keep), np.random.default_rng(seed))


@some
@given(st.integers(0, 2**32 - 1), st.sampled_from(BYTES), shapes_and_axes())
def test_integer_sum(seed, dtype, shape_and_axes):
    shape, axes = shape_and_axes
    rng = np.random.default_rng(seed)
    check_everywhere(integer_sum(rng, dtype, shape, axes), rng)


@pytest.mark.parametrize("dtype", BYTES)
def test_an_integer_sum_in_fixed_point(dtype):
    rng = np.random.default_rng(0)
    limits = (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    q31 = Q31(np.array([1234567890], np.int32), np.array([-2], np.int32), 5, *limits)
    for to in (q31, Shift(np.array([3], np.int32), 5, *limits)):
        check_everywhere(integer_sum(rng, dtype, (4, 30), (1,), to), rng)


@some
@given(st.integers(0, 2**32 - 1), shapes_and_axes())
def test_float_mean(seed, shape_and_axes):
    shape, axes = shape_and_axes
    buffers = {"x": Buffer(shape, "float32"), "y": Buffer(reduced(shape, axes), "float32")}
    check_everywhere(Program(("x",), ("y",), buffers, {}, (Mean("m", "x", "y", axes),)), np.random.default_rng(seed))


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8"])
def test_global_max_pool_stays_on_planes(dtype):
    """All pixels are negative floats, so that a padding of 0 would win."""
    rng = np.random.default_rng(1)
    program = after_conv(rng, dtype, lambda name: Reduce("r", name, "z", (2, 3), "max"))
    if dtype == "float32":
        conv = program.steps[0]
        constants = {**program.constants, "b": program.constants["b"] - 100}
        program = Program(program.inputs, ("z",), program.buffers, constants, (Conv(**vars(conv)), program.steps[1]))
    check_everywhere(program, rng)


@some
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["float32", "int32", "int64", "int8", "uint8"]),
    st.lists(st.sampled_from([1, 2, 3, 5, 18]), min_size=1, max_size=3),
    st.data(),
)
def test_arg_max(seed, dtype, shape, data):
    """Few values, so that there are many equals."""
    rng = np.random.default_rng(seed)
    program = arg_maxes(dtype, tuple(shape), data.draw(st.integers(0, len(shape) - 1)))
    inputs = {"x": rng.integers(0, 3, shape).astype(dtype)}
    if dtype == "float32" and data.draw(st.booleans()):
        inputs["x"][rng.random(shape) < 0.2] = np.nan
    expected = interpreter.run(program, inputs)
    for isa, outputs in run_everywhere(program, inputs):
        for name, output in outputs.items():
            np.testing.assert_array_equal(output, expected[name], err_msg=isa)


@some
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["float32", "int32", "int64", "int8", "uint8"]),
    st.lists(st.sampled_from([1, 2, 3, 5, 18]), min_size=1, max_size=3),
    st.data(),
)
def test_top_k(seed, dtype, shape, data):
    """Few values, so that there are many equals; all of them, one, or some."""
    rng, axis = np.random.default_rng(seed), data.draw(st.integers(0, len(shape) - 1))
    program = top_ks(dtype, tuple(shape), axis, data.draw(st.integers(1, shape[axis])))
    inputs = {"x": rng.integers(0, 4, shape).astype(dtype)}
    if dtype == "float32" and data.draw(st.booleans()):
        inputs["x"][rng.random(shape) < 0.2] = np.nan
    expected = interpreter.run(program, inputs)
    for isa, outputs in run_everywhere(program, inputs):
        for name, output in outputs.items():
            np.testing.assert_array_equal(output, expected[name], err_msg=isa)


@some
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([1, 3, 15, 16, 17, 40]), min_size=1, max_size=3),
    st.data(),
    st.booleans(),
)
def test_softmax(seed, shape, data, logarithm):
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    buffers = {"x": Buffer(tuple(shape), "float32"), "y": Buffer(tuple(shape), "float32")}
    program = Program(("x",), ("y",), buffers, {}, (Softmax("s", "x", "y", axis, logarithm),))
    inputs = {"x": (rng.standard_normal(shape) * 10 ** rng.uniform(-2, 3)).astype(np.float32)}
    expected = interpreter.run(program, inputs)["y"]
    for isa, outputs in run_everywhere(program, inputs):
        np.testing.assert_allclose(outputs["y"], expected, rtol=1e-5, atol=1e-6, err_msg=isa)


def test_softmax_leaves_out_what_is_masked():
    buffers = {"x": Buffer((2, 20), "float32"), "y": Buffer((2, 20), "float32")}
    program = Program(("x",), ("y",), buffers, {}, (Softmax("s", "x", "y", 1),))
    x = np.zeros((2, 20), np.float32)
    x[0, 4:], x[1, ::2] = -np.inf, -np.inf
    for isa, outputs in run_everywhere(program, {"x": x}):
        np.testing.assert_allclose(outputs["y"], np.isfinite(x) / np.isfinite(x).sum(1)[:, None], err_msg=isa)


@pytest.mark.parametrize("constant", [True, False], ids=["constant", "computed"])
@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize(
    ("shape", "axes", "scale", "bias"),
    [
        ((2, 5, 24), (2,), (24,), (24,)),
        ((2, 5, 24), (2,), (24,), None),
        ((2, 5, 24), (1, 2), (5, 24), (1, 24)),
        ((3, 4, 5, 7), (2, 3), (4, 1, 1), (4, 1, 1)),
        ((3, 4, 35), (2,), (1, 4, 1), (3, 4, 35)),
        ((3, 4, 5, 7), (0, 2, 3), None, None),
        ((3, 4, 5), (0,), (4, 5), (3, 1, 1)),
        ((2, 1), (1,), (1,), (1,)),
        ((33,), (0,), (33,), None),
    ],
)
def test_normalize(shape, axes, scale, bias, centred, constant):
    rng = np.random.default_rng(2)
    check_everywhere(normalized(rng, shape, axes, scale, bias, centred, constant), rng)


def test_normalize_of_large_means_does_not_cancel():
    program = normalized(np.random.default_rng(3), (4, 100), (1,), None, None)
    inputs = {"x": (1000 + np.random.default_rng(4).standard_normal((4, 100))).astype(np.float32)}
    expected = interpreter.run(program, inputs)["y"]
    for isa, outputs in run_everywhere(program, inputs):
        np.testing.assert_allclose(outputs["y"], expected, atol=2e-3, err_msg=isa)


PAIRS = [("uint8", "uint8"), ("int8", "int8"), ("uint8", "int8"), ("int8", "uint8")]


@some
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(PAIRS),
    st.lists(st.sampled_from([1, 3, 15, 16, 17, 40, 300]), min_size=1, max_size=3),
    st.sampled_from([1e-4, 0.03, 5]),
    st.data(),
)
def test_integer_softmax(seed, dtypes, shape, scale, data):
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    check_everywhere(integer_softmax(rng, dtypes, tuple(shape), axis, scale), rng)


@some
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(BYTES),
    st.lists(st.sampled_from([1, 3, 15, 16, 17, 300]), min_size=1, max_size=3),
    st.data(),
)
def test_quantized_softmax(seed, dtype, shape, data):
    """Of near and far numbers; what is infinite or not a number is as determined as the rest."""
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    program = quantized_softmax(rng, dtype, tuple(shape), axis)
    x = (rng.standard_normal(shape) * 10 ** rng.uniform(-2, 3)).astype(np.float32)
    odd = data.draw(st.sampled_from([[], [np.nan], [np.inf], [-np.inf], [-3.4e38, 3.4e38], [np.nan, np.inf, -np.inf]]))
    if odd:
        x = np.where(rng.random(shape) < 0.3, rng.choice(odd, shape), x).astype(np.float32)
    expected = interpreter.run(program, {"x": x})["y"]
    for isa, outputs in run_everywhere(program, {"x": x}):
        np.testing.assert_array_equal(outputs["y"], expected, err_msg=isa)


@some
@given(
    st.integers(0, 2**32 - 1), st.sampled_from(PAIRS), shapes_and_axes(), st.booleans(), st.sampled_from([1e-30, 9e9])
)
def test_integer_normalize(seed, dtypes, shape_and_axes, centred, epsilon):
    """Scales of one number, of one a row, of one an element."""
    shape, axes = shape_and_axes
    rng = np.random.default_rng(seed)
    shapes = [tuple(size if rng.random() < 0.5 else 1 for size in shape) for _ in range(2)]
    check_everywhere(integer_normalized(rng, dtypes, shape, axes, *shapes, centred, epsilon), rng)


@pytest.mark.parametrize("dtype", BYTES)
@pytest.mark.parametrize("count", [16383, 16384, 16385, 180_000])
def test_long_rows_of_the_largest_and_smallest_integers(dtype, count):
    """Sums of squares far beyond 32 bits."""
    rng = np.random.default_rng(5)
    limits = np.iinfo(dtype)
    inputs = {"x": rng.choice([limits.min, limits.max], (1, count)).astype(dtype)}
    normalize = integer_normalized(rng, (dtype, dtype), (1, count), (1,), (1,), (1,))
    step = replace(normalize.steps[0], input_zero_point=int(limits.min), low=int(limits.min), high=int(limits.max))
    for program in (replace(normalize, steps=(step,)), integer_softmax(rng, (dtype, dtype), (1, count), 1, 1e-4)):
        expected = interpreter.run(program, inputs)["y"]
        for isa, outputs in run_everywhere(program, inputs):
            np.testing.assert_array_equal(outputs["y"], expected, err_msg=isa)
