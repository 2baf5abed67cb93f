"""Steps that become one step: functions from Program to Program that change no result, to the last bit."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from math import sqrt
from typing import Literal

import numpy as np

from openwork.lowering.arithmetic import UNBOUNDED
from openwork.lowering.functions import UnaryFunction
from openwork.lowering.program import Program
from openwork.lowering.steps import Add, Binary, Clip, Conv, FullyConnected, Pad, Step, Unary


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
    order = {step.output: index for index, step in enumerate(program.steps)}
    steps: dict[str, Step] = {}
    for step in program.steps:
        if isinstance(step, Add):
            before = [
                steps[name] for name in sorted(step.inputs, key=lambda name: order.get(name, -1)) if name in steps
            ]
            conv = _last_conv(step, before, reads, program)
            if conv is not None:
                del steps[conv.output]
                residual = step if step.inputs[0] == conv.output else _swapped(step)
                steps[step.output] = replace(conv, output=step.output, residual=residual)
                continue
        steps[step.output] = step
    return drop_unused(replace(program, steps=tuple(steps.values())))


def _last_conv(add: Add, before: Sequence[Step], reads: Counter[str], program: Program) -> Conv | None:
    """The last of the convolutions that may take `add` in. before: the steps whose results are added, in order."""
    shapes = {program.buffers[name].shape for name in (*add.inputs, add.output) if name in program.buffers}
    if len(shapes) != 1 or any(name in program.constants for name in add.inputs):
        return None
    for step in reversed(before):
        if isinstance(step, Conv) and step.residual is None and reads[step.output] == 1:
            return step
    return None


def _swapped(add: Add) -> Add:
    """The same addition with its operands exchanged: addition of two floats is commutative."""
    to = add.requantize
    return replace(add, inputs=add.inputs[::-1], requantize=None if to is None else to.swapped())


def fuse_pad(program: Program) -> Program:
    """Fold a Pad of images with zeros into the Conv that alone reads it.

    before: y = Pad(x, rows and columns of zeros); z = Conv(y, pads)
    after:  z = Conv(x, pads + those of the Pad)
    """
    reads = _reads(program)
    steps: dict[str, Step] = {}
    for step in program.steps:
        before = steps.get(step.input) if isinstance(step, Conv) and reads[step.input] == 1 else None
        if isinstance(step, Conv) and isinstance(before, Pad) and _pads_with_zeros(before, step):
            del steps[before.output]
            around = [before.pads[axis] for axis in _spatial(before)]
            pads = tuple(a + b for a, b in zip(step.pads, around, strict=True))
            step = replace(step, input=before.input, pads=pads)
        steps[step.output] = step
    return drop_unused(replace(program, steps=tuple(steps.values())))


def _pads_with_zeros(pad: Pad, conv: Conv) -> bool:
    """Whether a Pad adds what a convolution's own padding adds."""
    others = set(range(len(pad.pads))) - set(_spatial(pad))
    is_zero = pad.mode == "constant" and pad.value == conv.input_zero_point
    return is_zero and not any(pad.pads[axis] for axis in others)


def _spatial(pad: Pad) -> list[int]:
    """Where in `pads` those of the rows and columns of images are."""
    rank = len(pad.pads) // 2
    return [*range(2, rank), *range(rank + 2, 2 * rank)]


def fuse_gates(program: Program) -> Program:
    """Fold a gate that is a function of what it is multiplied with into one function.

    before: g = Sigmoid(x); y = Mul(x, g)           in either order; g feeds nothing else
    after:  y = Silu(x)                             and HardSigmoid(1/6, 1/2) becomes HardSwish
    """
    reads = _reads(program)
    steps: dict[str, Step] = {}
    for step in program.steps:
        for x, gate in _operands(step, "mul"):
            before = steps.get(gate)
            function = _gated(before) if isinstance(before, Unary) and before.input == x else None
            if function is not None and reads[gate] == 1:
                del steps[gate]
                step = Unary(step.name, x, step.output, function)
                break
        steps[step.output] = step
    return drop_unused(replace(program, steps=tuple(steps.values())))


def _gated(gate: Unary) -> UnaryFunction | None:
    """What x * gate(x) is."""
    if gate.function == "sigmoid":
        return "silu"
    sixth = (np.float32(1 / 6), np.float32(0.5))
    is_swish = gate.function == "hard_sigmoid" and tuple(map(np.float32, gate.parameters)) == sixth
    return "hard_swish" if is_swish else None


def fuse_gelu(program: Program) -> Program:
    """Fold Gelu as torch writes it out into one function.

    before: e = Erf(Div(x, sqrt(2))); y = Mul(Mul(x, Add(e, 1)), 0.5)       sums and products in either order
    after:  y = Gelu(x)                                                     all in between feed nothing else
    """
    reads = _reads(program)
    steps: dict[str, Step] = {}
    for step in program.steps:
        found = _gelu(step, steps, program)
        if found is not None and all(reads[name] == 1 for name in found[1]):
            for name in found[1]:
                del steps[name]
            step = Unary(step.name, found[0], step.output, "gelu")
        steps[step.output] = step
    return drop_unused(replace(program, steps=tuple(steps.values())))


def _gelu(step: Step, steps: Mapping[str, Step], program: Program) -> tuple[str, tuple[str, ...]] | None:
    """Its input and the names between, if a step is the last of a Gelu."""
    for product, half in _operands(step, "mul"):
        if not _is(half, 0.5, program):
            continue
        for x, total in _operands(steps.get(product), "mul"):
            for curve, one in _operands(steps.get(total), "add"):
                erf = steps.get(curve)
                if not (_is(one, 1.0, program) and isinstance(erf, Unary) and erf.function == "erf"):
                    continue
                match steps.get(erf.input):
                    case Binary(function="div", inputs=(divided, root)) if divided == x and _is(root, sqrt(2), program):
                        if _same_shape(x, step.output, program):
                            return x, (product, total, curve, erf.input)
    return None


def _operands(step: Step | None, function: Literal["add", "mul"]) -> Sequence[tuple[str, str]]:
    """Both orders of the operands of a plain float sum or product; none for any other step."""
    match step:
        case Add(requantize=None, bounds=bounds) if function == "add" and bounds == UNBOUNDED:
            return step.inputs, step.inputs[::-1]
        case Binary(requantize=None, function=found) if found == function:
            return step.inputs, step.inputs[::-1]
    return ()


def _is(name: str, value: float, program: Program) -> bool:
    """Whether an operand is a constant float, one number."""
    array = program.constants.get(name)
    return array is not None and array.size == 1 and array.dtype == np.float32 and array.item() == np.float32(value)


def _same_shape(a: str, b: str, program: Program) -> bool:
    return a in program.buffers and program.buffers[a].shape == program.buffers[b].shape


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


PIPELINE: tuple[Callable[[Program], Program], ...] = (
    drop_unused,
    fuse_pad,
    fuse_gates,
    fuse_gelu,
    fuse_clip,
    fuse_residual,
)


def fuse(program: Program) -> Program:
    """The whole pipeline, in order. `fuse(program)` computes what `program` does, bit for bit."""
    for function in PIPELINE:
        program = function(program)
    return program
