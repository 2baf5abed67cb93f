"""What float32 may make of a step, whatever its order; and that what is wrong lies outside."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.deploy.proof.bounds import UNIT, Evaluation, evaluated, gamma
from openwork.deploy.proof.tolerance import Arithmetic, arithmetic_of
from openwork.lowering import Buffer, Program
from openwork.lowering import steps as lowered
from tests.backends.cpu.programs import conv_program

ALL = np.arange(1 << 20)


def step_of(step: lowered.Step, shape: tuple[int, ...], output: tuple[int, ...], **constants: np.ndarray) -> Program:
    """A step alone, from x of `shape` to y of `output`."""
    buffers = {"x": Buffer(shape, "float32"), "y": Buffer(output, "float32")}
    return Program(("x",), ("y",), buffers, constants, (step,))


STEPS = {
    "fully connected": (lowered.FullyConnected("s", "x", "y", "w", "b"), (4, 300), (4, 5), {"w": (5, 300), "b": (5,)}),
    "product": (lowered.MatMul("s", ("x", "w"), "y"), (4, 300), (4, 5), {"w": (300, 5)}),
    "sum": (lowered.Reduce("s", "x", "y", (1,), "sum"), (4, 300), (4,), {}),
    "softmax": (lowered.Softmax("s", "x", "y", 1), (4, 300), (4, 300), {}),
    "log softmax": (lowered.Softmax("s", "x", "y", 1, logarithm=True), (4, 300), (4, 300), {}),
    "normalize": (
        lowered.Normalize("s", "x", "y", (1,), 1e-5, "w", "b"),
        (4, 300),
        (4, 300),
        {"w": (300,), "b": (300,)},
    ),
    "gelu": (lowered.Unary("s", "x", "y", "gelu"), (4, 300), (4, 300), {}),
    "gelu_tanh": (lowered.Unary("s", "x", "y", "gelu_tanh"), (4, 300), (4, 300), {}),
    "sigmoid": (lowered.Unary("s", "x", "y", "sigmoid"), (4, 300), (4, 300), {}),
    "mish": (lowered.Unary("s", "x", "y", "mish"), (4, 300), (4, 300), {}),
    "softplus": (lowered.Unary("s", "x", "y", "softplus"), (4, 300), (4, 300), {}),
    "average": (
        lowered.AveragePool("s", "x", "y", (3, 3), (1, 1), (1,) * 4, (1, 1), (0,) * 4),
        (1, 2, 7, 9),
        (1, 2, 7, 9),
        {},
    ),
}


def made(name: str, seed: int, size: float, offset: float) -> tuple[Program, np.ndarray]:
    step, shape, output, constants = STEPS[name]
    rng = np.random.default_rng(seed)
    drawn = {key: rng.normal(size=each).astype(np.float32) for key, each in constants.items()}
    program = step_of(step, shape, output, **drawn)
    return program, (rng.normal(size=shape) * size + offset).astype(np.float32)


def of(program: Program, x: np.ndarray) -> Evaluation:
    [step] = program.steps
    assert arithmetic_of(step, program) is Arithmetic.FLOAT
    buffer = program.buffers["y"]
    return evaluated(step, {**program.constants, "x": x}, buffer, ALL[: int(np.prod(buffer.shape))])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(sorted(STEPS)),
    st.integers(0, 1 << 30),
    st.sampled_from([1e-20, 1e-7, 1.0, 30.0, 1e4]),
    st.sampled_from([0.0, 1.0, 1000.0]),
)
def test_float32_lies_within_the_bounds(name: str, seed: int, size: float, offset: float) -> None:
    """NumPy's float32, in an order that is not the kernels'."""
    program, x = made(name, seed, size, offset)
    [step] = program.steps
    result = step.compute({**program.constants, "x": x}, program.buffers["y"])
    assert result.dtype == np.float32
    found = of(program, x)
    away = np.abs(result.ravel() - found.value)
    assert (away <= found.bound).all(), (np.nanmax(away / found.bound), found.value[np.argmax(away / found.bound)])


@pytest.mark.parametrize("order", ["forwards", "backwards", "largest first", "smallest first"])
def test_a_sum_lies_within_its_bound_in_any_order(order: str) -> None:
    """Of equal terms too, whose roundings all go the same way."""
    for x in (np.full(5000, np.float32(0.1)), np.random.default_rng(0).normal(size=5000).astype(np.float32)):
        terms = {
            "forwards": x,
            "backwards": x[::-1],
            "largest first": x[np.argsort(-np.abs(x))],
            "smallest first": x[np.argsort(np.abs(x))],
        }[order]
        total = np.float32(0)
        for term in terms:
            total = total + term
        program = step_of(lowered.Reduce("s", "x", "y", (1,), "sum"), (1, 5000), (1,))
        found = of(program, x[None])
        assert np.abs(total - found.value) <= found.bound


def test_zeros_do_not_count() -> None:
    """A sum of three products among a thousand is bounded as one of three."""
    program, x = made("product", 0, 1.0, 0.0)
    sparse = np.zeros_like(x)
    sparse[:, [3, 77, 200]] = x[:, [3, 77, 200]]
    found = of(program, sparse)
    sizes = (np.abs(sparse) @ np.abs(program.constants["w"])).ravel()
    assert (found.bound <= gamma(6) * sizes * 1.001 + UNIT * np.abs(found.value)).all()


def test_a_difference_of_large_numbers_has_a_large_bound_and_a_small_number_a_small_one() -> None:
    step = lowered.FullyConnected("s", "x", "y", "w", None)
    program = step_of(step, (1, 2), (1, 2), w=np.array([[1, -1], [0, 1e-7]], np.float32))
    found = of(program, np.array([[1000, 1000]], np.float32))
    assert found.value[0] == 0 and 1e-4 < found.bound[0] < 1e-3
    assert found.bound[1] < 1e-10


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize(("mistake", "size"), [("thousandth", 3), ("dropped", 3), ("eight units", 1)])
def test_what_is_wrong_lies_outside(mistake: str, size: int, groups: int) -> None:
    """A weight off by a thousandth, a tap dropped, a result eight units in its last place off: in every channel."""
    rng = np.random.default_rng(0)
    pads = (size // 2,) * 4
    program = conv_program(rng, dtype="float32", groups=groups, kernel=(size, size), pads=pads, density=1.0)
    x = rng.normal(size=program.buffers["x"].shape).astype(np.float32)
    buffer = program.buffers["y"]
    [step] = program.steps
    found = of(program, x)
    for channel in range(buffer.shape[1]):
        weight = program.constants["w"].copy()
        weight[channel, 1, 0, -1] *= np.float32({"thousandth": 1.001, "dropped": 0, "eight units": 1}[mistake])
        result = step.compute({**program.constants, "w": weight, "x": x}, buffer)
        if mistake == "eight units":
            result = result + 8 * np.spacing(result)
        away = np.abs(result.ravel() - found.value) > found.bound
        assert away.reshape(buffer.shape)[:, channel].any()


def test_every_step_whose_last_bits_are_open_has_a_bound() -> None:
    """A new kind of step in floats needs one: `evaluated` would not know it."""
    gather = lowered.Gather("s", ("x", "i"), "y", 0)
    values = {"x": np.ones((2, 3), np.float32), "i": np.zeros(1, np.int64)}
    with pytest.raises(AssertionError, match="Gather"):
        evaluated(gather, values, Buffer((1, 3), "float32"), ALL[:3])
