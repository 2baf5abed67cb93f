"""Generated C: pleasant to read, the same bytes again, and free of the model's strings."""

from pathlib import Path

import numpy as np
import pytest

from openwork.backends.cpu.build import build
from openwork.backends.cpu.emit import emit
from openwork.backends.cpu.steps import make_plan
from openwork.lowering import Bounds, Buffer, Conv, Mean, Program, plan_arena
from openwork.targets import load_target
from tests.backends.cpu.programs import check_everywhere, conv_program

GOLDEN = Path(__file__).parent / "golden"


def source_of(program):
    plan = make_plan(program, 2)
    arena = plan_arena([(r.first, r.last) for r in plan.regions], [r.nbytes for r in plan.regions])
    return emit(plan, arena)


def small_network(name="conv", tensor="y", weights=0):
    """A strided convolution and a mean, with names as given."""
    weight = np.random.default_rng(weights).standard_normal((4, 3, 3, 3)).astype(np.float32)
    steps = (
        Conv(name, "x", tensor, "w", None, (2, 2), (1, 1, 1, 1), (1, 1), bounds=Bounds(0)),
        Mean(f"{name}.mean", tensor, f"{tensor}.mean", (2, 3)),
    )
    buffers = {
        "x": Buffer((1, 3, 8, 8), "float32"),
        tensor: Buffer((1, 4, 4, 4), "float32"),
        f"{tensor}.mean": Buffer((1, 4), "float32"),
    }
    return Program(("x",), (f"{tensor}.mean",), buffers, {"w": weight}, steps)


def test_golden_file():
    """Read tests/backends/cpu/golden/conv_mean.c when this fails; copy the new text over it if it is better."""
    assert source_of(small_network()).text == (GOLDEN / "conv_mean.c").read_text()


def test_other_weights_give_the_same_code():
    assert source_of(small_network(weights=1)) == source_of(small_network(weights=2))


@pytest.mark.parametrize("name", ["x;}", "*/", "\\\n", "??/", "%s", "int", "x" * 1_000_000, "\u202e", "\0", '"'])
def test_hostile_names_give_the_same_code(name):
    assert source_of(small_network(name, f"t{name}")) == source_of(small_network())


def test_code_for_integers_differs_with_the_zero_points():
    """Zero points are in the code, so parameters of another quantization must not fit it."""
    first = conv_program(np.random.default_rng(0), dtype="uint8")
    second = conv_program(np.random.default_rng(1), dtype="uint8")
    assert first.steps[0].input_zero_point != second.steps[0].input_zero_point
    assert source_of(first).plan_id != source_of(second).plan_id


def test_files_are_byte_identical_when_repeated(tmp_path):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        build(small_network(), tmp_path / folder, target=load_target("cpu"), threads=2)
    for name in ("deploy.c", "deploy.so", "deploy.params", "openwork.h"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_the_golden_network_computes():
    check_everywhere(small_network(), np.random.default_rng(0))


def test_many_steps_are_run_by_several_functions(monkeypatch):
    """Compilers take long over one function with thousands of calls."""
    monkeypatch.setattr("openwork.backends.cpu.emit._STEPS_A_FUNCTION", 2)
    assert "  run_first(session, in, out);\n  run_from_1(session, in, out);\n}" in source_of(small_network()).text
    check_everywhere(small_network(), np.random.default_rng(0))
