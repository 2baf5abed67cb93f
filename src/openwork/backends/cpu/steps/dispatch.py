"""A Program as calls of kernels: each step in turn, inputs before and outputs after."""

from math import prod

import numpy as np

from openwork.backends.cpu.copying import copy_all
from openwork.backends.cpu.plan import Address, Place, Plan
from openwork.backends.cpu.steps.convolution import conv
from openwork.backends.cpu.steps.elementwise import convert, integer_add, map_elements, rescale
from openwork.backends.cpu.steps.fully_connected import fully_connected
from openwork.backends.cpu.steps.functions import add, binary, cast, clip, lookup, select, unary
from openwork.backends.cpu.steps.matrix import matmul
from openwork.backends.cpu.steps.moving import (
    concat,
    expand,
    gather,
    pad,
    reshape,
    slice_,
    take_along,
    transpose,
)
from openwork.backends.cpu.steps.normalizing import (
    fixed_softmax,
    integer_normalize,
    integer_softmax,
    normalize,
    softmax,
)
from openwork.backends.cpu.steps.pooling import pool
from openwork.backends.cpu.steps.reducing import arg_max, mean, reduce, top_k
from openwork.backends.cpu.steps.resizing import grid_sample, integer_resize, resize
from openwork.errors import BuildError
from openwork.lowering import (
    Add,
    ArgMax,
    AveragePool,
    Binary,
    Buffer,
    Cast,
    Clip,
    Concat,
    Conv,
    Dequantize,
    Expand,
    FixedResize,
    FixedSoftmax,
    FullyConnected,
    Gather,
    GridSample,
    IntegerNormalize,
    IntegerResize,
    IntegerSoftmax,
    Lookup,
    MatMul,
    MaxPool,
    Mean,
    Normalize,
    Pad,
    Program,
    Quantize,
    QuantizedSoftmax,
    Reduce,
    Rescale,
    Reshape,
    Resize,
    Select,
    Slice,
    Softmax,
    Step,
    TakeAlong,
    TopK,
    Transpose,
    Unary,
)


def make_plan(program: Program, threads: int) -> Plan:
    """Every call of every step, and the memory they need."""
    plan = Plan(program, threads)
    plan.step = -1
    _check_widths(program)
    flip_inputs(plan)
    for index, step in enumerate(program.steps):
        plan.step = index
        plan_step(plan, step)
        plan.results.append(_result(plan, step.output))
    plan.step = len(program.steps)
    write_outputs(plan)
    return plan


def _check_widths(program: Program) -> None:
    """Refuse integers that kernels would take for narrower ones."""
    for step in program.steps:
        if getattr(step, "requantize", None) is None:
            continue
        names = [name for name in (*step.reads, step.output, getattr(step, "weight", None)) if name is not None]
        arrays = [program.constants[name] if name in program.constants else program.buffers[name] for name in names]
        if any(np.dtype(array.dtype).itemsize > 1 for array in arrays) or getattr(step, "accumulator", "") == "int64":
            raise BuildError(
                f"step {step.name!r}: its integers are wider than kernels take; lower the model for backends.cpu.WIDTHS"
            )


def plan_step(plan: Plan, step: Step) -> None:
    """Append the calls that do one step."""
    match step:
        case Conv():
            conv(plan, step)
        case FullyConnected():
            fully_connected(plan, step)
        case MatMul():
            matmul(plan, step)
        case Add(requantize=None):
            add(plan, step)
        case Add():
            integer_add(plan, step)
        case Unary():
            unary(plan, step)
        case Binary():
            binary(plan, step)
        case Select():
            select(plan, step)
        case Cast():
            cast(plan, step)
        case Lookup():
            lookup(plan, step)
        case MaxPool() | AveragePool():
            pool(plan, step)
        case Mean():
            mean(plan, step)
        case Reduce():
            reduce(plan, step)
        case ArgMax():
            arg_max(plan, step)
        case TopK():
            top_k(plan, step)
        case Normalize():
            normalize(plan, step)
        case IntegerNormalize():
            integer_normalize(plan, step)
        case Clip():
            clip(plan, step)
        case Rescale():
            rescale(plan, step)
        case Quantize() | Dequantize():
            convert(plan, step)
        case Softmax():
            softmax(plan, step)
        case IntegerSoftmax() | QuantizedSoftmax():
            integer_softmax(plan, step)
        case FixedSoftmax():
            fixed_softmax(plan, step)
        case Concat():
            concat(plan, step)
        case Transpose():
            transpose(plan, step)
        case Reshape():
            reshape(plan, step)
        case Slice():
            slice_(plan, step)
        case Expand():
            expand(plan, step)
        case Pad():
            pad(plan, step)
        case Gather():
            gather(plan, step)
        case TakeAlong():
            take_along(plan, step)
        case Resize():
            resize(plan, step)
        case GridSample():
            grid_sample(plan, step)
        case IntegerResize() | FixedResize():
            integer_resize(plan, step)


def flip_inputs(plan: Plan) -> None:
    """Bring bytes into their stored form, in memory that may be read four bytes at a time, before the first step."""
    for name in plan.program.inputs:
        buffer = plan.program.buffers[name]
        if np.dtype(buffer.dtype).itemsize == 1:
            source = plan.plain(name)
            target = plan.region(source.layout.nbytes)
            _copy_or_flip(plan, buffer, source.address, target)
            plan.alias(name, Place(target, source.layout))


def _result(plan: Plan, name: str) -> Place:
    """Where the result of a step lies as soon as it is done. An output that is the same bytes as an input, a constant
    or another output is brought to the caller's memory at once."""
    place = plan.place(name)
    if place.address.space == "arena" or name not in plan.program.outputs:
        return place
    target = Address("output", plan.program.outputs.index(name))
    if place.address != target:
        _copy_or_flip(plan, plan.program.buffers[name], place.address, target)
    return Place(target, place.layout)


def write_outputs(plan: Plan) -> None:
    """Bring outputs that no step wrote to the caller's memory there, plain and in their own type."""
    written = {place.address for place in plan.results}
    for index, name in enumerate(plan.program.outputs):
        source, target = plan.plain(name), Address("output", index)
        if target not in written | {source.address}:
            _copy_or_flip(plan, plan.program.buffers[name], source.address, target)


def _copy_or_flip(plan: Plan, buffer: Buffer, source: Address, target: Address) -> None:
    if buffer.dtype == "int8":
        map_elements(plan, "x8_flip", [source], target, prod(buffer.shape))
    else:
        copy_all(plan, buffer.dtype, source, target, buffer.shape)
