"""A Program as calls of kernels: each step in turn, inputs before and outputs after."""

from math import prod

import numpy as np

from openwork.backends.cpu.plan import Address, Place, Plan, copy_fields
from openwork.backends.cpu.steps.convolution import conv, fully_connected
from openwork.backends.cpu.steps.elementwise import add, clip, convert, map_elements, rescale
from openwork.backends.cpu.steps.moving import concat, reshape, softmax, transpose
from openwork.backends.cpu.steps.pooling import mean, pool
from openwork.errors import BuildError
from openwork.lowering import (
    Add,
    AveragePool,
    Clip,
    Concat,
    Conv,
    Dequantize,
    FullyConnected,
    MaxPool,
    Mean,
    Program,
    Quantize,
    Rescale,
    Reshape,
    Softmax,
    Step,
    Transpose,
)


def make_plan(program: Program, threads: int) -> Plan:
    """Every call of every step, and the memory they need."""
    plan = Plan(program, threads)
    plan.step = -1
    flip_inputs(plan)
    for index, step in enumerate(program.steps):
        plan.step = index
        plan_step(plan, step)
        plan.results.append(plan.place(step.output))
    plan.step = len(program.steps)
    write_outputs(plan)
    return plan


def plan_step(plan: Plan, step: Step) -> None:
    """Append the calls that do one step."""
    match step:
        case Conv():
            conv(plan, step)
        case FullyConnected():
            fully_connected(plan, step)
        case Add():
            add(plan, step)
        case MaxPool() | AveragePool():
            pool(plan, step)
        case Mean():
            mean(plan, step)
        case Clip():
            clip(plan, step)
        case Rescale():
            rescale(plan, step)
        case Quantize() | Dequantize():
            convert(plan, step)
        case Softmax():
            softmax(plan, step)
        case Concat():
            concat(plan, step)
        case Transpose():
            transpose(plan, step)
        case Reshape():
            reshape(plan, step)


def flip_inputs(plan: Plan) -> None:
    """Bring int8 inputs into their stored form before the first step."""
    for name in plan.program.inputs:
        buffer = plan.program.buffers[name]
        if np.dtype(buffer.dtype).itemsize not in (1, 4) or buffer.dtype == "bool":
            raise BuildError(f"input {name!r}: {buffer.dtype} has no kernels; use float32, uint8 or int8")
        if np.dtype(buffer.dtype).itemsize == 1:
            source = plan.plain(name)
            target = plan.region(source.layout.nbytes)
            kernel = "x8_flip" if buffer.dtype == "int8" else "x8_copy"
            _copy_or_flip(plan, kernel, source.address, target, buffer.shape)
            plan.alias(name, Place(target, source.layout))


def write_outputs(plan: Plan) -> None:
    """Bring outputs that no step wrote to the caller's memory there, plain and in their own type."""
    for index, name in enumerate(plan.program.outputs):
        source, target = plan.plain(name), Address("output", index)
        if source.address == target:
            continue
        dtype = plan.program.buffers[name].dtype
        kernel = {"int8": "x8_flip", "uint8": "x8_copy"}.get(dtype, "x32_copy")
        _copy_or_flip(plan, kernel, source.address, target, plan.program.buffers[name].shape)


def _copy_or_flip(plan: Plan, kernel: str, source: Address, target: Address, shape: tuple[int, ...]) -> None:
    if kernel == "x8_flip":
        map_elements(plan, kernel, [source], target, prod(shape))
    else:
        plan.call(kernel, copy_fields(source, target, (1, prod(shape)), (0, 1), (0, 1)), 1)
