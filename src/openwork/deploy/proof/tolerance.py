"""What is known of a tensor by the steps behind it, and so how its outputs may be held."""

from enum import IntEnum

from openwork.deploy.tensors import QUANTIZED
from openwork.lowering import Program, Step
from openwork.lowering import steps as lowered


class Arithmetic(IntEnum):
    """How a tensor came to be, from the strictest to the loosest."""

    EXACT = 0  # integers, moved elements, and what is one rounding away from them: every bit is determined
    FLOAT = 1  # sums of floats, whose order is free, and transcendental functions: the last bits are open
    REQUANTIZED = 2  # integers made of such sums: a value near the middle of two steps may become either
    CHOSEN = 3  # indices, truths and whole numbers made of any of those: of two that nearly tie, either may win


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
# Functions that jump.
_CHOOSING = frozenset(
    {
        *("ceil", "floor", "round", "sign", "thresholded_relu"),
        *("equal", "fmod", "greater", "greater_equal", "less", "less_equal", "mod"),
    }
)


def arithmetic(program: Program) -> dict[str, Arithmetic]:
    """The arithmetic behind every buffer of a program."""
    found = dict.fromkeys(program.inputs, Arithmetic.EXACT)
    for step in program.steps:
        before = max((found.get(name, Arithmetic.EXACT) for name in step.reads), default=Arithmetic.EXACT)
        found[step.output] = max(_after(step, before, program), arithmetic_of(step, program))
    return found


def arithmetic_of(step: Step, program: Program) -> Arithmetic:
    """The arithmetic of one step alone: EXACT or FLOAT."""
    is_float = program.buffers[step.output].dtype == "float32"
    return Arithmetic.FLOAT if is_float and _is_open(step) else Arithmetic.EXACT


def is_in_floats(program: Program) -> bool:
    """Whether a program computes without quantized integers."""
    return not any(buffer.dtype in QUANTIZED for buffer in program.buffers.values())


def is_told_by_outputs(program: Program) -> bool:
    """Whether every bit of every output of a network in integers is determined: then they say all that steps could."""
    return not is_in_floats(program) and set(arithmetic(program).values()) <= {Arithmetic.EXACT}


def _is_open(step: Step) -> bool:
    """Whether the last bits of a float result are open."""
    match step:
        case lowered.Unary():
            return step.function not in _DETERMINED
        case lowered.Binary():
            return step.function == "pow"
        case lowered.Reduce():
            return step.function in ("sum", "prod")
        case lowered.GridSample():
            return step.mode != "nearest"
        case lowered.Resize():
            return any(axis.weights is not None for axis in step.axes)
    return isinstance(step, _SUMS)


def _after(step: Step, before: Arithmetic, program: Program) -> Arithmetic:
    if before is Arithmetic.EXACT:
        return before
    match step:
        case lowered.Quantize() | lowered.QuantizedSoftmax():
            return max(before, Arithmetic.REQUANTIZED)
        case lowered.Unary() | lowered.Binary():
            return Arithmetic.CHOSEN if step.function in _CHOOSING else before
        case lowered.Cast():
            return before if program.buffers[step.output].dtype == "float32" else Arithmetic.CHOSEN
        case lowered.ArgMax() | lowered.TopK():
            return Arithmetic.CHOSEN
        case lowered.GridSample():
            return Arithmetic.CHOSEN if step.mode == "nearest" else before
    return before
