"""Every kernel on every instruction set under AddressSanitizer and UndefinedBehaviourSanitizer.

gcc has their run-times (ziglang has not). All programs are plans of one executable, which gives each buffer a
neighbourhood of poisoned bytes: see sanitized_main.c.
"""

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from openwork.backends.cpu.build import library_sources
from openwork.backends.cpu.compiler import Source, compile_objects, find_compiler
from openwork.backends.cpu.emit import emit
from openwork.backends.cpu.kernels import KERNELS
from openwork.backends.cpu.params import write_params
from openwork.backends.cpu.steps import make_plan
from openwork.lowering import Arena, interpreter
from openwork.targets import load_target
from tests.backends.cpu.hard_shapes import every_hard_shape
from tests.backends.cpu.programs import instruction_sets_here, random_activation
from tests.backends.cpu.test_steps import every_kind
from tests.backends.cpu.together import numbered, table

# Without optimization nothing that is undefined is optimized away, and compiling takes a third of the time.
FLAGS = ("-O0", "-fsanitize=address,undefined,float-cast-overflow", "-fno-sanitize-recover=all", "-Wno-psabi")
MAIN = Path(__file__).parent / "sanitized_main.c"
FILES = 8
POISON, READ_PAST = 128, 128  # bytes around each region of the arena: see session.c


@pytest.fixture
def gcc(monkeypatch):
    """Compiles everything within."""
    found = shutil.which("gcc")
    assert found, (
        "gcc is not installed, so no kernel can be sanitized; install it (Debian: apt-get install gcc libc6-dev)"
    )
    monkeypatch.setenv("OPENWORK_CC", found)
    return found


@pytest.mark.slow
def test_no_kernel_reads_or_writes_out_of_bounds_or_relies_on_what_is_undefined(gcc, tmp_path):
    rng = np.random.default_rng(0)
    programs = [*every_kind(rng), *every_hard_shape(rng)]
    plans = [make_plan(program, 2) for program in programs]
    assert {call.kernel for plan in plans for call in plan.calls} == {kernel.name for kernel in KERNELS}
    print(f"{len(programs)} programs, {len(KERNELS)} kernels, {', '.join(instruction_sets_here())}")

    inputs = [write_program(tmp_path, i, plan, rng) for i, plan in enumerate(plans)]
    executable = sanitized(gcc, tmp_path, plans)
    runs = {isa: run(executable, tmp_path, isa) for isa in instruction_sets_here()}
    for isa, process in runs.items():
        message = process.communicate()[1]
        assert process.returncode == 0, f"{isa}: {message[message.rfind('program') :][:4000]}"
        for i, program in enumerate(programs):
            check(program, inputs[i], tmp_path / isa, i)


def write_program(folder, index, plan, rng):
    """The parameters and the inputs of a plan; returns its inputs."""
    plan_id = emit(plan, parted_arena(plan)).plan_id
    write_params(folder / f"{index}.params", [each.data for each in plan.params], plan_id)
    program = plan.program
    inputs = {name: random_activation(rng, program.buffers[name]) for name in program.inputs}
    for i, array in enumerate(inputs.values()):
        (folder / f"{index}.in{i}").write_bytes(array.tobytes())
    return inputs


def parted_arena(plan):
    """No memory is used again, and none lies close to another."""
    offsets, end = [], POISON
    for region in plan.regions:
        offsets.append(end)
        end += -(-(region.nbytes + READ_PAST + POISON) // 64) * 64
    return Arena(tuple(offsets), end)


def source_of(index, plan):
    """deploy.c and the places of its regions; what it defines is numbered, so that many fit in one file."""
    arena = parted_arena(plan)
    text = numbered(emit(plan, arena).text, index)
    regions = [f"{{{offset}, {r.nbytes}}}" for offset, r in zip(arena.offsets, plan.regions, strict=True)]
    return f"{text}const struct region regions{index}[] = {{{', '.join([*regions, '{0, 0}'])}}};\n"


def plan_sources(folder, plans):
    """All plans in a few files, which compile in parallel, and the tables of them."""
    region = "#include <stddef.h>\nstruct region { size_t offset, bytes; };\n"
    texts = [source_of(i, plan) for i, plan in enumerate(plans)]
    files = {f"plans{i}.c": region + "".join(texts[i::FILES]) for i in range(FILES)}
    names = range(len(plans))
    files["tables.c"] = "\n".join(
        [
            f'#include "runtime.h"\n{region}const int plan_count = {len(plans)};',
            *(f"extern const struct region regions{i}[];" for i in names),
            table(len(plans)),
            f"const struct region *const regions[] = {{{', '.join(f'regions{i}' for i in names)}}};\n",
        ]
    )
    for name, text in files.items():
        (folder / name).write_text(text)
    return [folder / name for name in files]


def sanitized(gcc, folder, plans):
    """All kernels and plans in one executable."""
    target = load_target("cpu")
    library = [source for source in library_sources(target, KERNELS, folder) if source.path.name != "session.c"]
    sources = [*library, *(Source(path, (), library[0].include) for path in (MAIN, *plan_sources(folder, plans)))]
    objects = compile_objects(
        find_compiler(target.triple),
        [Source(source.path, (*source.flags, *FLAGS), source.include) for source in sources],
        folder,
    )
    executable = folder / "run"
    subprocess.run([gcc, *FLAGS, *objects, "-o", executable, "-lpthread", "-lm"], check=True)
    return executable


def run(executable, folder, isa):
    results = folder / isa
    results.mkdir()
    environment = os.environ | {"OPENWORK_ISA": isa}
    command = [executable, folder, results]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def check(program, inputs, results, index):
    expected = interpreter.run(program, inputs)
    for i, name in enumerate(program.outputs):
        want = expected[name]
        result = np.frombuffer((results / f"{index}.out{i}").read_bytes(), want.dtype).reshape(want.shape)
        message = f"{results.name}: program {index}, {program.steps}"
        if want.dtype == np.float32:
            finite = np.abs(want[np.isfinite(want)]).max(initial=1)
            np.testing.assert_allclose(result, want, rtol=1e-4, atol=1e-4 * finite, err_msg=message)
        else:
            np.testing.assert_array_equal(result, want, err_msg=message)
