"""Every kernel on every instruction set under AddressSanitizer and UndefinedBehaviourSanitizer.

gcc has their run-times (ziglang has not), in a standalone executable.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from openwork.backends.cpu.build import build, kernel_sources
from openwork.backends.cpu.compiler import Source, compile_objects, find_compiler
from openwork.lowering import interpreter
from openwork.targets import load_target
from tests.backends.cpu.programs import conv_program, instruction_sets_here, random_activation
from tests.backends.cpu.test_steps import DTYPES, every_kind

FLAGS = ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-Wno-psabi")
MAIN = Path(__file__).parent / "sanitized_main.c"


def sanitized(source):
    return Source(source.path, (*source.flags, *FLAGS), source.include)


@pytest.fixture(scope="module")
def objects():
    """All C but the plans, compiled by gcc with both sanitizers."""
    gcc = shutil.which("gcc")
    if gcc is None and os.environ.get("CI") != "true":
        pytest.skip("gcc is not installed: no kernel was sanitized")
    assert gcc, "gcc is not installed: no kernel can be sanitized"
    before = os.environ.get("OPENWORK_CC")
    os.environ["OPENWORK_CC"] = gcc
    sources = kernel_sources(load_target("cpu"))
    main = Source(MAIN, (), sources[0].include)
    yield compile_objects(find_compiler(load_target("cpu").triple), [sanitized(source) for source in (*sources, main)])
    os.environ.pop("OPENWORK_CC") if before is None else os.environ.update(OPENWORK_CC=before)


def edge_cases(rng):
    """Odd sizes, 1x1 images, channels that fill no lane, empty rows, strides over kernels, huge padding."""
    for dtype in DTYPES:
        yield conv_program(rng, dtype=dtype, size=(1, 1), kernel=(1, 1), pads=(0, 0, 0, 0), per_group=5, outs=7)
        yield conv_program(rng, dtype=dtype, size=(1, 1), kernel=(3, 3), per_group=1, outs=1)
        yield conv_program(rng, dtype=dtype, size=(5, 3), kernel=(2, 2), strides=(3, 4), pads=(0, 0, 0, 0))
        yield conv_program(rng, dtype=dtype, size=(4, 4), kernel=(3, 3), pads=(9, 9, 9, 9), density=0.0)
        yield conv_program(rng, dtype=dtype, size=(31, 33), batch=3, groups=3, per_group=2, outs=3)
        yield conv_program(rng, dtype=dtype, size=(33, 17), strides=(2, 2), per_group=70, outs=5, density=0.1)


@pytest.mark.slow
def test_no_kernel_reads_or_writes_out_of_bounds_or_relies_on_what_is_undefined(objects, tmp_path):
    rng = np.random.default_rng(0)
    programs = [*every_kind(rng), *edge_cases(rng)]
    for number, program in enumerate(programs):
        folder = tmp_path / str(number)
        folder.mkdir()
        run_sanitized(program, rng, folder, objects)


def run_sanitized(program, rng, folder, objects):
    target = load_target("cpu")
    build(program, folder, target=target, threads=2)
    (plan,) = compile_objects(
        find_compiler(target.triple), [Source(folder / "deploy.c", FLAGS, kernel_sources(target)[0].include)]
    )
    executable = folder / "run"
    names = [str(path) for path in (*objects, plan)]
    subprocess.run([os.environ["OPENWORK_CC"], *FLAGS, *names, "-o", executable, "-lpthread", "-lm"], check=True)
    inputs = {name: random_activation(rng, program.buffers[name]) for name in program.inputs}
    expected = interpreter.run(program, inputs)
    ins = [folder / f"in{i}" for i in range(len(inputs))]
    outs = [folder / f"out{i}" for i in range(len(program.outputs))]
    for path, array in zip(ins, inputs.values(), strict=True):
        path.write_bytes(array.tobytes())
    for isa in instruction_sets_here():
        environment = os.environ | {"OPENWORK_ISA": isa}
        command = [executable, folder / "deploy.params", "2", *ins, *outs]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{isa}: {done.stderr[:2000]}"
        for path, name in zip(outs, program.outputs, strict=True):
            result = np.frombuffer(path.read_bytes(), expected[name].dtype).reshape(expected[name].shape)
            np.testing.assert_allclose(result, expected[name], atol=1e-3 if result.dtype == np.float32 else 0)
