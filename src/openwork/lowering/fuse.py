"""Steps that become one step: functions from Program to Program that change no result, to the last bit."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import chain

from openwork.lowering.arithmetic import UNBOUNDED
from openwork.lowering.program import Program
from openwork.lowering.steps import Add, Clip, Conv, FullyConnected, Step


def fuse_clip(program: Program) -> Program:
    """Fold a Clip into the float Conv, FullyConnected or Add that feeds nothing else.

    before: y = Conv(x); z = Clip(y, bounds)
    after:  z = Conv(x, bounds)                   where the Clip stood
    """
    reads = _reads(program)
    steps: dict[str, Step] = {}
    for step in program.steps:
        if isinstance(step, Clip):
            before = steps.get(step.input)
            if isinstance(before, Conv | FullyConnected | Add) and _takes_bounds(before, reads):
                del steps[before.output]
                steps[step.output] = replace(before, output=step.output, bounds=step.bounds)
                continue
        steps[step.output] = step
    return drop_unused(replace(program, steps=tuple(steps.values())))


def _takes_bounds(step: Conv | FullyConnected | Add, reads: Counter[str]) -> bool:
    with_residual = isinstance(step, Conv) and step.residual is not None
    return reads[step.output] == 1 and step.bounds == UNBOUNDED and not with_residual


def fuse_residual(program: Program) -> Program:
    """Fold an Add of two buffers of equal shape into the later convolution that feeds nothing else.

    before: y = Conv(x); z = Add(r, y)
    after:  z = Conv(x, residual=Add(y, r))       where the Add stood
    """
    reads = _reads(program)
    steps: dict[str, Step] = {}
    for step in program.steps:
        if isinstance(step, Add):
            conv = _conv_before(step, steps, reads, program)
            if conv is not None:
                del steps[conv.output]
                residual = step if step.inputs[0] == conv.output else _swapped(step)
                steps[step.output] = replace(conv, output=step.output, residual=residual)
                continue
        steps[step.output] = step
    return drop_unused(replace(program, steps=tuple(steps.values())))


def _conv_before(add: Add, steps: dict[str, Step], reads: Counter[str], program: Program) -> Conv | None:
    """The last of the convolutions that may take `add` in."""
    shapes = {program.buffers[name].shape for name in (*add.inputs, add.output) if name in program.buffers}
    if len(shapes) != 1 or any(name in program.constants for name in add.inputs):
        return None
    for step in reversed(steps.values()):
        feeds_only_add = step.output in add.inputs and reads[step.output] == 1
        if feeds_only_add and isinstance(step, Conv) and step.residual is None:
            return step
    return None


def _swapped(add: Add) -> Add:
    """The same addition with its operands exchanged: addition of two floats is commutative."""
    to = add.requantize
    if to is not None:
        to = replace(to, scales=to.scales[::-1], zero_points=to.zero_points[::-1])
    return replace(add, inputs=add.inputs[::-1], requantize=to)


def drop_unused(program: Program) -> Program:
    """Remove steps whose result nothing reads, then buffers and constants that no step names."""
    needed = set(program.outputs)
    kept: list[Step] = []
    for step in reversed(program.steps):
        if step.output in needed:
            kept.append(step)
            needed.update(step.reads, _parameters(step))
    needed.update(program.inputs)
    return replace(
        program,
        steps=tuple(reversed(kept)),
        buffers={name: buffer for name, buffer in program.buffers.items() if name in needed},
        constants={name: array for name, array in program.constants.items() if name in needed},
    )


def _parameters(step: Step) -> tuple[str, ...]:
    """Names of its weight and bias."""
    if isinstance(step, Conv | FullyConnected):
        return (step.weight,) if step.bias is None else (step.weight, step.bias)
    return ()


def _reads(program: Program) -> Counter[str]:
    """How often each name is read; being an output of the program is one read."""
    return Counter(chain(program.outputs, chain.from_iterable(step.reads for step in program.steps)))


PIPELINE: tuple[Callable[[Program], Program], ...] = (drop_unused, fuse_clip, fuse_residual)


def fuse(program: Program) -> Program:
    """The whole pipeline, in order. `fuse(program)` computes what `program` does, bit for bit."""
    for function in PIPELINE:
        program = function(program)
    return program
