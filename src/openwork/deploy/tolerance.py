"""How far each output of a compiled network may lie from its reference."""

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from openwork.deploy.difference import value_range
from openwork.lowering import Program, Step
from openwork.lowering import steps as lowered


class Arithmetic(IntEnum):
    """How a tensor came to be, from the strictest tolerance to the loosest."""

    EXACT = 0  # integers, moved elements, and what is one rounding away from them: every bit is determined
    FLOAT = 1  # sums of floats: their order is free, so the last bits are
    REQUANTIZED = 2  # integers made of such sums: a value near the middle of two steps may become either


# As a fraction of the range of the reference.
TOLERANCES = {Arithmetic.EXACT: 0.0, Arithmetic.FLOAT: 1e-4, Arithmetic.REQUANTIZED: 2e-2}

_SUMS = (lowered.Conv, lowered.FullyConnected, lowered.AveragePool, lowered.Mean)


def arithmetic(program: Program) -> dict[str, Arithmetic]:
    """The arithmetic behind every buffer of a program."""
    found = dict.fromkeys(program.inputs, Arithmetic.EXACT)
    for step in program.steps:
        before = max(found.get(name, Arithmetic.EXACT) for name in step.reads)
        found[step.output] = _after(step, before)
    return found


def _after(step: Step, before: Arithmetic) -> Arithmetic:
    if isinstance(step, lowered.Softmax) or (isinstance(step, _SUMS) and step.requantize is None):
        return max(before, Arithmetic.FLOAT)
    if isinstance(step, lowered.Quantize) and before is Arithmetic.FLOAT:
        return Arithmetic.REQUANTIZED
    return before


def tolerance(behind: Arithmetic, reference: NDArray[np.generic]) -> float:
    """The largest difference from `reference` that passes, in the reference's own unit."""
    return TOLERANCES[behind] * value_range(reference)
