"""Images resized, through generated code, against the interpreter, on every instruction set."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openwork.backends.cpu.steps import make_plan
from openwork.lowering import Resampling, Resize
from tests.backends.cpu.moving import one
from tests.backends.cpu.programs import check_everywhere
from tests.backends.cpu.resizing import SAMPLES, between_convolutions, resized, sampled

some = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
DTYPES = ("float32", "uint8", "int8", "int16", "uint16", "int32", "int64", "bool")
bytes_ = st.sampled_from(["uint8", "int8"])


@some
@given(st.data(), st.booleans(), st.sampled_from(DTYPES))
def test_resize(data, nearest, dtype):
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    rng, out, axes = np.random.default_rng(4), list(shape), []
    for axis in data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True)):
        out[axis], taps = data.draw(st.integers(1, 12)), 1 if nearest else data.draw(st.integers(1, 4))
        places = rng.integers(0, shape[axis], (out[axis], taps)).astype(np.int32)
        axes.append(Resampling(axis, places, None if nearest else rng.random(places.shape).astype(np.float32)))
    step = Resize("r", "x", "y", tuple(axes))
    check_everywhere(one(step, shape, tuple(out), dtype if nearest else "float32"), rng)


@some
@given(st.data(), bytes_, bytes_, st.booleans())
def test_resize_integers(data, dtype, result, fixed):
    """Along any axis, or two neighbouring ones: images go over planes, the others stay plain."""
    shape = tuple(data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=5)))
    first = data.draw(st.integers(0, len(shape) - 1))
    axes = range(first, min(first + data.draw(st.integers(1, 2)), len(shape)))
    sizes = {axis: data.draw(st.integers(1, 35)) for axis in axes}
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    check_everywhere(resized(rng, (dtype, result), shape, sizes, fixed=fixed), rng)


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_images_are_resized_in_planes(dtype, fixed):
    rng = np.random.default_rng(5)
    program = between_convolutions(rng, dtype, (5, 6), {2: 9, 3: 19}, fixed=fixed)
    kernels = [call.kernel for call in make_plan(program, 1).calls]
    assert "u8_resize_planes" in kernels
    assert sum(kernel.endswith("from_planes") for kernel in kernels) == 1, "only of the output"
    check_everywhere(program, rng)


@pytest.mark.parametrize(("mode", "padding", "corners"), SAMPLES)
def test_images_are_sampled(mode, padding, corners):
    rng = np.random.default_rng(6)
    check_everywhere(sampled((4, 7), (5, 9), mode, padding, corners), rng)
    if mode != "cubic":
        check_everywhere(sampled((3, 1, 4), (2, 3, 5), mode, padding, corners), rng)
