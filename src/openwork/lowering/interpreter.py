"""What a Program computes, step by step. Every backend is held against `run`."""

from collections.abc import Sequence

from openwork.errors import DataError
from openwork.lowering.arithmetic import Array, Values
from openwork.lowering.program import Program


def run(program: Program, inputs: Values, *, taps: Sequence[str] = ()) -> dict[str, Array]:
    """Compute a Program step by step.

    Args:
        inputs: one array for each of `program.inputs`, in its buffer's shape and dtype.
        taps: names of further buffers to return.
    Returns: the outputs in the program's order, then the taps, by name.
    Raises: DataError: an input is missing or does not fit its buffer, or a tap is no buffer.
    """
    _check_names(program, inputs, taps)
    values = {**program.constants, **{name: inputs[name] for name in program.inputs}}
    last_reader = {name: step for step in program.steps for name in step.reads}
    kept = {*program.outputs, *taps, *program.constants}
    for step in program.steps:
        buffer = program.buffers[step.output]
        result = step.compute(values, buffer)
        assert result.shape == buffer.shape, f"{step.name}: {result.shape} in a buffer of {buffer.shape}"
        values[step.output] = result.astype(buffer.dtype, copy=False)
        for name in set(step.reads) - kept:
            if last_reader[name] is step:
                del values[name]
    return {name: values[name] for name in (*program.outputs, *taps)}


def _check_names(program: Program, inputs: Values, taps: Sequence[str]) -> None:
    for name in program.inputs:
        buffer = program.buffers[name]
        if name not in inputs:
            raise DataError(f"input {name!r}: missing; give one {buffer.dtype} array of shape {buffer.shape}")
        array = inputs[name]
        if array.shape != buffer.shape or array.dtype != buffer.dtype:
            raise DataError(
                f"input {name!r}: is {array.dtype} of shape {array.shape}; give {buffer.dtype} of shape {buffer.shape}"
            )
    for name in taps:
        if name not in program.buffers:
            raise DataError(f"tap {name!r}: the program has no such buffer; it may be fused into a step")
