"""How far each output of a compiled network may lie from its reference."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from openwork.deploy.proof.difference import value_range
from openwork.lowering import Program, Step
from openwork.lowering import steps as lowered


class Arithmetic(IntEnum):
    """How a tensor came to be, from the strictest tolerance to the loosest."""

    EXACT = 0  # integers, moved elements, and what is one rounding away from them: every bit is determined
    FLOAT = 1  # sums of floats, whose order is free, and transcendental functions: the last bits are open
    REQUANTIZED = 2  # integers made of such sums: a value near the middle of two steps may become either


# As a fraction of the range of the reference.
TOLERANCES = {Arithmetic.EXACT: 0.0, Arithmetic.FLOAT: 1e-4, Arithmetic.REQUANTIZED: 2e-2}

_SUMS = (
    lowered.Conv,
    lowered.FullyConnected,
    lowered.MatMul,
    lowered.AveragePool,
    lowered.GridSample,
    lowered.Mean,
    lowered.Normalize,
    lowered.Resize,
    lowered.Softmax,
)
# Functions that are rounded once, or made of operations that are.
_DETERMINED = frozenset(
    {
        *("abs", "ceil", "floor", "hard_sigmoid", "hard_swish", "leaky_relu", "neg", "not", "reciprocal", "round"),
        *("sign", "softsign", "sqrt", "thresholded_relu"),
    }
)


def arithmetic(program: Program) -> dict[str, Arithmetic]:
    """The arithmetic behind every buffer of a program."""
    found = dict.fromkeys(program.inputs, Arithmetic.EXACT)
    for step in program.steps:
        before = max(found.get(name, Arithmetic.EXACT) for name in step.reads)
        found[step.output] = max(_after(step, before), arithmetic_of(step, program))
    return found


def arithmetic_of(step: Step, program: Program) -> Arithmetic:
    """The arithmetic of one step alone: EXACT or FLOAT."""
    is_float = program.buffers[step.output].dtype == "float32"
    return Arithmetic.FLOAT if is_float and _is_open(step) else Arithmetic.EXACT


def _is_open(step: Step) -> bool:
    """Whether the last bits of a float result are open."""
    match step:
        case lowered.Unary():
            return step.function not in _DETERMINED
        case lowered.Binary():
            return step.function == "pow"
        case lowered.Reduce():
            return step.function in ("sum", "prod")
    return isinstance(step, _SUMS)


def _after(step: Step, before: Arithmetic) -> Arithmetic:
    if isinstance(step, lowered.Quantize | lowered.QuantizedSoftmax) and before is Arithmetic.FLOAT:
        return Arithmetic.REQUANTIZED
    return before


def tolerance(behind: Arithmetic, reference: NDArray[np.generic]) -> float:
    """The largest difference from `reference` that passes, in the reference's own unit."""
    return TOLERANCES[behind] * value_range(reference)
