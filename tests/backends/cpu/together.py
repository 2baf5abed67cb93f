"""Many programs in one library, for which compiler and linker start once instead of once a program."""

import ctypes
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from openwork.backends.cpu.build import StepRecord, library_sources, step_records
from openwork.backends.cpu.compiler import Source, compile_objects, find_compiler, link_library
from openwork.backends.cpu.emit import emit
from openwork.backends.cpu.kernels import CSRC, KERNELS
from openwork.backends.cpu.params import write_params
from openwork.backends.cpu.steps import make_plan
from openwork.lowering import Program, plan_arena
from openwork.targets import load_target

# session.c in front of the plan that was chosen last.
CHOICE = """\
#include "runtime.h"
static const struct ow_plan *chosen;
#define ow_plan (*chosen)
#include "session.c"
#undef ow_plan
extern const struct ow_plan *const plans[];
OPENWORK_API void choose(int32_t plan) { chosen = plans[plan]; }
"""


def numbered(text: str, index: int) -> str:
    """deploy.c whose definitions carry a number, so that many fit in one file; its plan is `plan<index>`."""
    text = text.replace("const struct ow_plan ow_plan", f"const struct ow_plan plan{index}")
    return re.sub(r"(static void |static const \w+ |= )(run|input|output|param_bytes)\b", rf"\g<1>\g<2>{index}", text)


def table(count: int) -> str:
    """All plans, by their numbers."""
    names = [f"plan{index}" for index in range(count)]
    declared = "".join(f"extern const struct ow_plan {name};\n" for name in names)
    return f"{declared}const struct ow_plan *const plans[] = {{{', '.join(f'&{name}' for name in names)}}};\n"


def built_together(
    programs: Sequence[Program], folder: Path, *, threads: int = 2
) -> Iterator[tuple[Path, tuple[StepRecord, ...]]]:
    """Build programs, and yield a directory as `build` makes it for each, with the records of its steps.

    All directories have the same library, which is the program's own until the next is asked for.
    """
    target, records, texts, called = load_target("cpu"), [], [], set()
    for index, program in enumerate(programs):
        program.check()
        plan = make_plan(program, threads)
        arena = plan_arena([(r.first, r.last) for r in plan.regions], [r.nbytes for r in plan.regions])
        source = emit(plan, arena)
        directory = folder / str(index)
        directory.mkdir()
        write_params(directory / "deploy.params", [tensor.data for tensor in plan.params], source.plan_id)
        texts.append(numbered(source.text, index))
        called |= {call.kernel for call in plan.calls}
        records.append(step_records(plan, arena))
    sources = library_sources(target, [kernel for kernel in KERNELS if kernel.name in called], folder)
    sources = [source for source in sources if source.path.name != "session.c"]
    for name, text in (("plans.c", "".join(texts) + table(len(texts))), ("choice.c", CHOICE)):
        (folder / name).write_text(text)
        sources.append(Source(folder / name, ("-O1",), (*sources[0].include, CSRC / "cpu")))  # it only calls
    objects = folder / "objects"
    objects.mkdir()
    compiler = find_compiler(target.triple)
    link_library(compiler, compile_objects(compiler, sources, objects), folder / "deploy.so")
    library = ctypes.CDLL(str(folder / "deploy.so"))
    for index, each in enumerate(records):
        (folder / str(index) / "deploy.so").hardlink_to(folder / "deploy.so")  # which the loader knows for the same
        library.choose(index)
        yield folder / str(index), each
