"""The proof step by step: each step by itself, fed values that are known to the bit.

Outputs alone tell little of what is inside, and where integers are made of sums of floats, or an index of values that
nearly tie, one rounding that falls on the other side moves all that follows. So each step is held by itself. The
library runs with a tap. A step whose last bits are open (sums of floats, transcendental functions) is held against
its evaluation in float64 within `bounds.evaluated`; then its result is replaced by a stand-in (`stand_ins`), which any
machine can draw again. Every other step is determined to the bit by what it is fed, and its hash must agree.

A sample of what is expected lies in `steps.bin`, the hashes in `deploy.json`: any machine can repeat the proof, with
any instruction set. While a model is compiled more is held: SAMPLES elements of each step.
"""

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu import StepRecord, read_result, write_result
from openwork.deploy.artifact import Artifact
from openwork.deploy.library import Runnable
from openwork.deploy.proof.bounds import Evaluation, evaluated, length
from openwork.deploy.proof.stand_ins import StandIn, places, share_wanted, stand_in
from openwork.deploy.proof.tolerance import Arithmetic, arithmetic_of
from openwork.errors import ArtifactError
from openwork.lowering import Buffer, Program, Step
from openwork.lowering.arithmetic import Array

FILE = "steps.bin"
# Elements of a step that are held: while a model is compiled, and from the files alone.
SAMPLES = 1 << 16
STORED = 1 << 10


@dataclass(frozen=True)
class Expected:
    """The result of one step.

    sha256: of the whole result, if it is determined to the bit; else None.
    value: what its elements at `places` are, as many as are known.
    bound: float32, how far from `value` each may be; zeros if the result is determined.
    length: how many terms each element is the sum of; 0 if the result is determined.
    stand_in: what the steps after it are fed instead; None if it is the result itself.
    """

    index: int
    sha256: str | None
    value: Array
    bound: NDArray[np.float32]
    length: int
    stand_in: StandIn | None


@dataclass(frozen=True)
class Wrong:
    """A step that gives something else: the largest difference in relation to what is allowed there."""

    record: StepRecord
    difference: float
    allowed: float

    def __str__(self) -> str:
        if self.allowed == 0:
            return f"is up to {self.difference:g} off what its inputs determine to the bit"
        return f"is {self.difference:g} off where {self.allowed:g} is allowed"


def expected_steps(program: Program, inputs: Mapping[str, Array]) -> list[Expected]:
    """What the steps of a program should give when each is fed the program's inputs or what stands in for results."""
    expected = []
    real: dict[str, Array] = {**program.constants, **inputs}  # what stand-ins are drawn from
    given = dict(real)
    readers: dict[str, list[Step]] = defaultdict(list)
    for step in program.steps:
        for name in step.reads:
            readers[name].append(step)
    for index, step in enumerate(program.steps):
        buffer = program.buffers[step.output]
        real[step.output] = _computed(step, real, buffer)
        if arithmetic_of(step, program) is Arithmetic.FLOAT:
            fed = stand_in(real[step.output], share_wanted(step.output, readers[step.output], program))
            evaluation = evaluated(step, given, buffer, places(prod(buffer.shape), SAMPLES))
            expected.append(_open(index, evaluation, length(step, program), fed))
            given[step.output] = fed.drawn(index, buffer.shape)
        else:
            is_real = all(given[name] is real[name] for name in step.reads)
            value = real[step.output] if is_real else _computed(step, given, buffer)
            expected.append(_determined(index, value, real[step.output]))
            stands_in = expected[-1].stand_in
            given[step.output] = value if stands_in is None else stands_in.drawn(index, buffer.shape)
        for name in {*step.reads, step.output} - set(program.constants):
            if not readers[name] or readers[name][-1] is step:
                del real[name], given[name]
    return expected


def _computed(step: Step, values: Mapping[str, Array], buffer: Buffer) -> Array:
    with np.errstate(all="ignore"):  # what stands in for a result may be where no result was
        value: Array = step.compute(values, buffer).astype(buffer.dtype, copy=False)
    return value


def _open(index: int, evaluation: Evaluation, terms: int, fed: StandIn) -> Expected:
    with np.errstate(over="ignore"):
        value, bound = (each.astype(np.float32) for each in (evaluation.value, evaluation.bound))
    return Expected(index, None, value, np.nextafter(bound, np.float32(np.inf)), terms, fed)


def _determined(index: int, value: Array, real: Array) -> Expected:
    """With a stand-in only where no number is: kernels that leave out zeros would not make a NaN of it."""
    known = value.ravel()[places(value.size, SAMPLES)]
    fed = None if np.isfinite(value).all() else stand_in(real, 1.0)
    return Expected(index, _sha256(value), known, np.zeros(known.shape, np.float32), 0, fed)


def write_steps(directory: Path, expected: Sequence[Expected]) -> list[dict[str, Any]]:
    """Write `steps.bin`: floats, little-endian. Returns: the rest, as JSON."""
    entries = []
    with (directory / FILE).open("wb") as file:
        for each in expected:
            entry: dict[str, Any] = {"step": each.index}
            arrays: list[Array] = []
            if each.sha256 is None:
                arrays += [each.value[:STORED], each.bound[:STORED]]
                entry |= {"elements": len(arrays[0]), "length": each.length}
            else:
                entry["sha256"] = each.sha256
            if each.stand_in is not None:
                arrays.append(each.stand_in.pool)
                entry |= {"pool": len(each.stand_in.pool), "choices": each.stand_in.choices}
            for array in arrays:
                file.write(array.astype("<f4").tobytes())
            entries.append(entry)
    return entries


def step_records(artifact: Artifact) -> list[StepRecord]:
    """Raises: ArtifactError: deploy.json does not describe steps."""
    try:
        return [StepRecord.from_json(step) for step in artifact.steps()]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(artifact, error) from error


def read_steps(artifact: Artifact) -> list[Expected]:
    """What `write_steps` wrote. Raises: ArtifactError: it is damaged."""
    records = step_records(artifact)
    try:
        floats = np.fromfile(artifact.directory / FILE, "<f4").astype(np.float32)
        expected, at = [], 0
        for entry in artifact.step_proof():
            each, at = _read(entry, len(records), floats, at)
            expected.append(each)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise _damaged(artifact, error) from error
    return expected


def _read(entry: Mapping[str, Any], steps: int, floats: NDArray[np.float32], at: int) -> tuple[Expected, int]:
    """One step, whose floats begin at `at`, and where they end."""
    index, elements, pool = int(entry["step"]), int(entry.get("elements", 0)), int(entry.get("pool", 0))
    end = at + 2 * elements + pool
    if not 0 <= index < steps or min(elements, pool) < 0 or end > len(floats):
        raise ValueError(f"step {index} is not in {FILE}")
    value, bound, drawn = np.split(floats[at:end], [elements, 2 * elements])
    fed = StandIn(drawn, int(entry["choices"])) if pool else None
    sha256 = None if "elements" in entry else str(entry["sha256"])
    return Expected(index, sha256, value, bound, int(entry["length"]) if elements else 0, fed), end


def first_wrong(
    library: Runnable,
    records: Sequence[StepRecord],
    expected: Sequence[Expected],
    inputs: Sequence[Array],
    output_names: Sequence[str],
) -> Wrong | None:
    """Run a library step by step. Returns: the first step that is wrong; None if all are right.

    Args:
        inputs: in the library's order. output_names: of the records that are outputs, likewise.
    """
    outputs = [np.empty(shape, dtype) for shape, dtype in library.outputs]
    of_caller = by_name(output_names, outputs)
    awaited = {each.index: each for each in expected}
    wrong: list[Wrong] = []

    def tap(index: int, arena: int) -> None:
        record = records[index]
        if wrong or index not in awaited or (record.offset is None and not record.in_output):
            return  # after a wrong step nothing is known; an input or a constant in another shape is computed nowhere
        result = of_caller[record.output] if record.offset is None else read_result(record, arena)
        found = held(record, result, awaited[index])
        if found is not None:
            wrong.append(found)
            return
        if (fed := awaited[index].stand_in) is not None:
            value = fed.drawn(index, record.shape)
            if record.offset is None:
                np.copyto(of_caller[record.output], value)
            else:
                write_result(record, arena, value)

    library.run(inputs, tap, outputs)
    return wrong[0] if wrong else None


def by_name(names: Sequence[str], outputs: Sequence[Array]) -> dict[str, Array]:
    """Where a library writes each output; of one that is given twice the second is copied when all steps are done."""
    return dict(zip(reversed(names), reversed(outputs), strict=True))


def held(record: StepRecord, result: Array, expected: Expected) -> Wrong | None:
    """None if a result is as expected."""
    if expected.sha256 is not None and _sha256(result) == expected.sha256:
        return None
    off, allowed = differences(result, expected)
    beyond = np.where(np.isnan(off), np.inf, off - allowed)
    if expected.sha256 is None and not (beyond > 0).any():
        return None
    worst = int(np.argmax(beyond)) if beyond.size else None
    return Wrong(record, *((float(off[worst]), float(allowed[worst])) if worst is not None else (float("nan"), 0.0)))


def differences(result: Array, expected: Expected) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each of the elements that are known is off, and may be; NaN where only one of the two is a number."""
    known = expected.value.astype(np.float64)
    found = result.ravel()[places(result.size, len(known))].astype(np.float64)
    with np.errstate(invalid="ignore"):
        same = (found == known) | (np.isnan(found) & np.isnan(known))
        return np.where(same, 0, np.abs(found - known)), expected.bound.astype(np.float64)


def _damaged(artifact: Artifact, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"{artifact.directory / 'deploy.json'}: does not describe steps ({error}); compile the model again"
    )


def _sha256(value: Array) -> str:
    """Of the elements; zeros count alike whatever their sign, and so does all that is not a number."""
    if value.dtype == np.float32:
        value = np.where(np.isnan(value), np.float32(np.nan), value + np.float32(0))
    return hashlib.sha256(value.tobytes()).hexdigest()
