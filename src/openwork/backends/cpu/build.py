"""Program in, native library out."""

import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from ctypes import c_ubyte, string_at
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.compiler import (
    Source,
    compile_object,
    compile_objects,
    find_compiler,
    link_library,
    scratch_directory,
)
from openwork.backends.cpu.emit import emit
from openwork.backends.cpu.kernels import (
    CSRC,
    INSTRUCTION_SETS,
    KERNELS,
    RUNTIME_SOURCES,
    Kernel,
    compiled_for,
    kernels_header,
    kernels_tables,
)
from openwork.backends.cpu.layout import LANE, Plain, Planes
from openwork.backends.cpu.params import write_params
from openwork.backends.cpu.plan import Plan
from openwork.backends.cpu.steps import make_plan
from openwork.errors import TargetError
from openwork.files import write_whole
from openwork.lowering import Arena, Program, Step, plan_arena
from openwork.targets import Target


@dataclass(frozen=True)
class StepRecord:
    """What became of one step of the Program, and where its result lies while it runs.

    kernels: those called, in order.
    offset: bytes into the arena; None if the result is not there.
    in_output: whether it is in the caller's output of its name as soon as the step is done. What is neither there nor
        in the arena was computed nowhere: an input, a constant or another output in another shape.
    planes: the fields of `Planes` if the result is planar, else None.
    """

    index: int
    name: str
    operator: str
    kernels: tuple[str, ...]
    output: str
    shape: tuple[int, ...]
    dtype: str
    offset: int | None
    in_output: bool
    planes: Mapping[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "StepRecord":
        fields = dict(data)
        return StepRecord(**fields | {"shape": tuple(fields["shape"]), "kernels": tuple(fields["kernels"])})


def build(program: Program, directory: Path, *, target: Target, threads: int) -> tuple[StepRecord, ...]:
    """Compile a program: write deploy.c, deploy.so, deploy.params and openwork.h into a directory.

    Args:
        program: from `lowering.lower`.
        directory: exists.
        target: what to compile for, and whose instruction sets the library brings kernels for.
        threads: for which work is divided; the library runs with any number.
    Returns: a record for each step of the program.
    Raises: BuildError: no compiler, a failing compiler, or a tensor that no kernel takes.
        TargetError: an instruction set without kernels.
    """
    plan = make_plan(program, threads)
    arena = plan_arena([(r.first, r.last) for r in plan.regions], [r.nbytes for r in plan.regions])
    source = emit(plan, arena)
    write_whole(directory / "deploy.c", source.text)
    write_params(directory / "deploy.params", [tensor.data for tensor in plan.params], source.plan_id)
    shutil.copyfile(CSRC / "include" / "openwork.h", directory / "openwork.h")
    called = {call.kernel for call in plan.calls}
    compiler = find_compiler(target.triple)
    with scratch_directory() as folder:
        sources = library_sources(target, [kernel for kernel in KERNELS if kernel.name in called], folder)
        objects = compile_objects(compiler, sources, folder)
        plain = folder / "deploy.c"
        plain.write_text(source.text)
        compile_object(compiler, Source(plain, (), sources[0].include), plain.with_suffix(".o"))
        link_library(compiler, [*objects, plain.with_suffix(".o")], directory / "deploy.so")
    return step_records(plan, arena)


def library_sources(target: Target, kernels: Sequence[Kernel], folder: Path) -> list[Source]:
    """All C of a library but its plan: each of the kernels for each instruction set of the target, tables, run time.

    Args:
        folder: gets the generated files kernels.h and kernels.c.
    Raises: TargetError: an instruction set without kernels.
    """
    known = {isa.name: isa for isa in INSTRUCTION_SETS}
    for name in target.instruction_sets:
        if name not in known:
            raise TargetError(f"target {target.name!r}: no kernels for {name!r}; choose from {', '.join(known)}")
    (folder / "kernels.h").write_text(kernels_header())
    (folder / "kernels.c").write_text(kernels_tables(target.instruction_sets, kernels))
    include = (CSRC / "include", CSRC / "cpu", folder)
    wanted = dict.fromkeys(
        (kernel.name, compiled_for(kernel, name)) for kernel in kernels for name in target.instruction_sets
    )
    compiled = [
        Source(CSRC / "cpu" / f"{name}.c", (*isa.flags, f"-DOW_ISA={isa.name}"), include) for name, isa in wanted
    ]
    runtime = [Source(CSRC / "cpu" / name, (), include) for name in RUNTIME_SOURCES]
    return [*compiled, *runtime, Source(folder / "kernels.c", (), include)]


def read_result(record: StepRecord, arena: int) -> NDArray[np.generic]:
    """Copy one step's result out of working memory, as `openwork_run_tapped` hands it to a tap.

    Args:
        record: with an offset; results in the caller's own output are read there.
        arena: address of the working memory.
    Returns: the array in the ONNX layout and dtype.
    """
    assert record.offset is not None
    stored = "uint8" if record.dtype == "int8" else record.dtype
    if record.planes is None:
        nbytes = int(np.prod(record.shape)) * np.dtype(stored).itemsize
        result = np.frombuffer(string_at(arena + record.offset, nbytes), stored).reshape(record.shape)
    else:
        layout = _planes(record.planes)
        raw = np.frombuffer(string_at(arena + record.offset, layout.nbytes), np.uint8)
        result = _from_planes(raw, layout).view(stored)[..., 0] if layout.deep == 1 else _from_planes(raw, layout)
        if layout.order:  # memory order to the buffer's
            result = result.reshape([record.shape[axis] for axis in layout.order]).transpose(np.argsort(layout.order))
        result = np.ascontiguousarray(result).reshape(record.shape)
    return (result ^ 0x80).view(np.int8) if record.dtype == "int8" else result.copy()


def write_result(record: StepRecord, arena: int, value: NDArray[np.generic]) -> None:
    """Put another value in the place of one step's result, while a tap is called about it.

    Args: as for `read_result`; value: of the record's shape and dtype, which is float32 or an integer of 8 bits.
    """
    assert record.offset is not None and record.dtype in ("float32", "uint8", "int8")
    value = np.ascontiguousarray(value, record.dtype)
    if record.dtype == "int8":
        value = value.view(np.uint8) ^ 0x80
    layout = None if record.planes is None else _planes(record.planes)
    nbytes = value.nbytes if layout is None else layout.nbytes
    raw = np.ctypeslib.as_array((c_ubyte * nbytes).from_address(arena + record.offset))
    if layout is None:
        raw[:] = np.frombuffer(value.tobytes(), np.uint8)
        return
    pixels = _pixels(raw, layout)
    if layout.order:  # the buffer's order to that of memory
        value = value.reshape([record.shape[axis] for axis in sorted(layout.order)])
        value = value.transpose(np.argsort(np.argsort(layout.order)))
    if layout.deep == 1:
        pixels[:] = np.frombuffer(value.tobytes(), np.uint8).reshape(pixels.shape)
        return
    channels = value.reshape(layout.images, layout.channels, layout.height, layout.width)
    for channel in range(layout.channels):
        pixels[channel // LANE :: layout.groups, ..., channel % LANE] = channels[:, channel]


def result_span(record: StepRecord) -> tuple[int, int]:
    """Where the result of a step that has an offset begins in working memory, and how many bytes it takes."""
    assert record.offset is not None
    if record.planes is not None:
        return record.offset, _planes(record.planes).nbytes
    return record.offset, prod(record.shape) * np.dtype(record.dtype).itemsize


def _planes(fields: Mapping[str, Any]) -> Planes:
    """The layout of a record, which JSON may have held."""
    return Planes(**{**fields, "order": tuple(fields["order"])})


def _pixels(raw: NDArray[np.uint8], layout: Planes) -> NDArray[np.uint8]:
    """Where the bytes of the pixels lie: a view [planes, height, width, bytes of a lane]."""
    body = raw[LANE * layout.lead :].reshape(layout.planes, layout.stride, LANE)
    return np.lib.stride_tricks.as_strided(
        body,
        (layout.planes, layout.height, layout.width, LANE),
        (LANE * layout.stride, LANE * layout.row, LANE, 1),
    )


def _from_planes(raw: NDArray[np.uint8], layout: Planes) -> NDArray[np.uint8]:
    """Bytes of the pixels: [images, channels, height, width] for four channels a lane, [..., width, 4] for one."""
    pixels = _pixels(raw, layout)
    if layout.deep == 1:
        return np.ascontiguousarray(pixels)
    channels = pixels.transpose(0, 3, 1, 2).reshape(layout.images, -1, layout.height, layout.width)
    return np.ascontiguousarray(channels[:, : layout.channels])


def step_records(plan: Plan, arena: Arena) -> tuple[StepRecord, ...]:
    """A record for each step of a plan's program, in order."""
    kernels = defaultdict(list)
    for call in plan.calls:
        kernels[call.step].append(call.kernel)
    return tuple(
        _record(plan, arena, index, step, tuple(kernels[index])) for index, step in enumerate(plan.program.steps)
    )


def _record(plan: Plan, arena: Arena, index: int, step: Step, kernels: tuple[str, ...]) -> StepRecord:
    place = plan.results[index]
    buffer = plan.program.buffers[step.output]
    in_arena = place.address.space == "arena"
    return StepRecord(
        index=index,
        name=step.name,
        operator=type(step).__name__,
        kernels=kernels,
        output=step.output,
        shape=buffer.shape,
        dtype=buffer.dtype,
        offset=arena.offsets[place.address.index] + place.address.offset if in_arena else None,
        in_output=place.address == plan.own_output(step.output),
        planes=None if isinstance(place.layout, Plain) else asdict(place.layout),
    )
