"""How far rounding alone moves the outputs of a network, from end to end.

Each step may be right to its last bits, and yet deep networks amplify those bits: one network a thousandfold, another
damps them. So it is measured. The library runs several times on the same inputs, and the result of each step whose
last bits are open is moved at random by as much as rounding may move it; integers made of such results become one
more or less. How far the outputs move then is what the network makes of rounding, and two implementations of it that
are right may differ by a few times that. Nothing is refused for being ill-conditioned: it is told.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from openwork.backends.cpu import StepRecord, read_result, write_result
from openwork.deploy.library import Runnable
from openwork.deploy.proof.bounds import UNIT
from openwork.deploy.proof.difference import ANYTHING, value_range
from openwork.deploy.proof.steps import Expected, by_name
from openwork.deploy.proof.tolerance import Arithmetic, arithmetic, is_in_floats
from openwork.lowering import Program, Quantize
from openwork.lowering.arithmetic import Array
from openwork.lowering.steps import QuantizedSoftmax

RUNS = 3
# How often it is tried whether an index moves: it does, or it does not.
RUNS_OF_INDICES = 10
# How many times what was measured passes. A difference is that of two implementations, on no more than one input.
MULTIPLE = 8.0
# Of the range of a float output: what passes in any case. Others fuse what openwork rounds, or take coordinates and
# exponentials less exactly.
LEAST = 1e-4
# The same of quantized networks, where another's integers may be one more or less here and there.
LEAST_OF_INTEGERS = 2e-2
# From this fraction of the range on that rounding moves an output by, it is told.
ILL = 1e-3


@dataclass(frozen=True)
class Noise:
    """How far rounding moves the results of steps, by their index.

    relative: of float results, as a fraction of the largest element. steps: integers that may be one more or less.
    inputs: whether they are off by half a unit in their last place, which stands for the first step's rounding.
    chosen: outputs that are indices or truths.
    """

    relative: Mapping[int, float]
    steps: frozenset[int]
    inputs: bool
    chosen: frozenset[str]


def rounding_noise(program: Program, expected: Sequence[Expected]) -> Noise:
    """Errors of a sum of n terms add up as in a random walk: to sqrt(n) half units in the last place."""
    behind = arithmetic(program)
    relative = {each.index: UNIT * sqrt(each.length) for each in expected if each.length}
    made = {
        index
        for index, step in enumerate(program.steps)
        if isinstance(step, Quantize | QuantizedSoftmax)
        and program.buffers[step.output].dtype in ("uint8", "int8")
        and behind[step.input] is not Arithmetic.EXACT
    }
    chosen = frozenset(name for name in program.outputs if behind[name] is Arithmetic.CHOSEN)
    return Noise(relative, frozenset(made), is_in_floats(program), chosen)


def deviations(
    library: Runnable, records: Sequence[StepRecord], noise: Noise, inputs: Sequence[Array], names: Sequence[str]
) -> dict[str, float]:
    """How far each output moves at most, in its own unit, by name.

    Args:
        inputs: in the library's order. names: of the outputs, likewise.
    """
    found = dict.fromkeys(names, 0.0)
    if not noise.relative and not noise.steps:
        return found
    right = [output.astype(np.float64) for output in library.run(inputs)]
    for run in range(RUNS_OF_INDICES):
        if run >= RUNS and all(found[name] for name in noise.chosen):
            break
        moved = _run(library, records, noise, inputs, names, np.random.default_rng(run))
        for name, output, before in zip(names, moved, right, strict=True):
            with np.errstate(invalid="ignore"):
                away = np.abs(output.astype(np.float64) - before)
            found[name] = max(found[name], float(away[np.isfinite(away)].max(initial=0)))
    return found


def _run(
    library: Runnable,
    records: Sequence[StepRecord],
    noise: Noise,
    inputs: Sequence[Array],
    names: Sequence[str],
    generator: np.random.Generator,
) -> list[Array]:
    outputs: list[Array] = [np.empty(shape, dtype) for shape, dtype in library.outputs]
    of_caller = by_name(names, outputs)

    def tap(index: int, arena: int) -> None:
        record = records[index]
        if index not in noise.relative and index not in noise.steps:
            return
        if record.offset is not None:
            write_result(record, arena, _moved(read_result(record, arena), noise.relative.get(index), generator))
        elif record.in_output:
            result = of_caller[record.output]
            np.copyto(result, _moved(result, noise.relative.get(index), generator))

    return library.run([_last_bit(x, generator) for x in inputs] if noise.inputs else inputs, tap, outputs)


def _last_bit(x: Array, generator: np.random.Generator) -> Array:
    if x.dtype != np.float32:
        return x
    return (x * (1 + 2 * UNIT * generator.uniform(-1, 1, x.shape))).astype(np.float32)


def _moved(result: Array, relative: float | None, generator: np.random.Generator) -> Array:
    if relative is None:
        limits = np.iinfo(result.dtype)
        wider = result.astype(np.int16) + generator.integers(-1, 2, result.shape, np.int16)
        return np.clip(wider, limits.min, limits.max).astype(result.dtype)
    sizes = np.abs(result)
    largest = np.float32(sizes[np.isfinite(sizes)].max(initial=0))
    noise = generator.random(result.shape, np.float32) * np.float32(2) - np.float32(1)
    moved: Array = result + noise * (largest * np.float32(relative))
    return moved


def tolerances(program: Program, references: Mapping[str, Array], moved: Mapping[str, float]) -> list[float]:
    """The difference of each output from its reference that passes. moved: `deviations` of the program's library."""
    behind = arithmetic(program)
    return [_allowed(behind[name], references[name], moved[name], is_in_floats(program)) for name in program.outputs]


def _allowed(behind: Arithmetic, reference: Array, deviation: float, in_floats: bool) -> float:
    if behind is Arithmetic.CHOSEN:
        return ANYTHING  # the steps decide
    if behind is Arithmetic.EXACT and not (in_floats and reference.dtype == np.float32):
        return 0.0
    least = LEAST * value_range(reference) if reference.dtype == np.float32 else 1.0
    return max(MULTIPLE * deviation, least)


def ill_conditioned(program: Program, references: Mapping[str, Array], moved: Mapping[str, float]) -> list[str]:
    """A line for each output that rounding alone moves far. Arguments: as of `tolerances`."""
    behind = arithmetic(program)
    lines = []
    for name in program.outputs:
        width = value_range(references[name])
        if behind[name] is Arithmetic.FLOAT and moved[name] > ILL * width > 0:
            share = f"{moved[name] / width:.2g} of its range"
            lines.append(
                f"output {name!r}: is ill-conditioned: rounding alone moves it by {share}, whoever computes it"
            )
    return lines
