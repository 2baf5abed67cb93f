"""The proof of a network step by step, each on what is expected of those before it.

Where integers are made of sums of floats, the outputs tell little: one rounding that falls on the other side moves all
that follows. So each step is held by itself. The library runs with a tap: the result of a step whose last bits are
open is held against the interpreter's within the tolerance of such sums, and then replaced by it; that of every other
step, computed from these, is determined to the bit, and its hash must agree. The expected results lie in `steps.bin`,
the hashes and tolerances in `deploy.json`: any machine can repeat the proof, with any instruction set.
"""

import hashlib
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
from openwork.deploy.proof.difference import difference
from openwork.deploy.proof.tolerance import Arithmetic, arithmetic_of, tolerance
from openwork.errors import ArtifactError
from openwork.lowering import Program

FILE = "steps.bin"

Array = NDArray[np.generic]


@dataclass(frozen=True)
class Expected:
    """The result of one step: a value and how far from it is right, in its own unit, or else its SHA-256."""

    index: int
    value: Array | None = None
    tolerance: float = 0.0
    sha256: str | None = None

    def agrees(self, result: Array) -> bool:
        if self.value is None:
            return _sha256(result) == self.sha256
        return difference("", result, self.value, self.tolerance).passed


def expected_steps(program: Program, results: Mapping[str, Array]) -> list[Expected]:
    """What the steps of a program should give. results: each step's, by name of its output, from the interpreter."""
    expected = []
    for index, step in enumerate(program.steps):
        value = results[step.output]
        if arithmetic_of(step, program) is Arithmetic.EXACT:
            expected.append(Expected(index, sha256=_sha256(value)))
        else:
            expected.append(Expected(index, value, tolerance(Arithmetic.FLOAT, value)))
    return expected


def write_steps(directory: Path, expected: Sequence[Expected]) -> list[dict[str, Any]]:
    """Write `steps.bin`: the values, one after the other, little-endian. Returns: the rest, as JSON."""
    with (directory / FILE).open("wb") as file:
        for each in expected:
            if each.value is not None:
                file.write(each.value.astype("<f4").tobytes())
    return [
        {"step": each.index, "tolerance": each.tolerance}
        if each.sha256 is None
        else {"step": each.index, "sha256": each.sha256}
        for each in expected
    ]


def step_records(artifact: Artifact) -> list[StepRecord]:
    """Raises: ArtifactError: deploy.json does not describe steps."""
    try:
        return [StepRecord.from_json(step) for step in artifact.steps()]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(artifact, error) from error


def read_steps(artifact: Artifact) -> list[Expected]:
    """What `write_steps` wrote; nothing where the outputs say it all. Raises: ArtifactError: it is damaged."""
    records = step_records(artifact)
    expected = []
    try:
        with (artifact.directory / FILE).open("rb") as file:
            for entry in artifact.step_proof():
                index = int(entry["step"])
                if "sha256" in entry:
                    expected.append(Expected(index, sha256=str(entry["sha256"])))
                    continue
                shape = records[index].shape
                value = np.frombuffer(file.read(4 * prod(shape)), "<f4").reshape(shape)
                expected.append(Expected(index, value, float(entry["tolerance"])))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise _damaged(artifact, error) from error
    return expected


def first_wrong(
    library: Runnable,
    records: Sequence[StepRecord],
    expected: Sequence[Expected],
    inputs: Sequence[Array],
    output_names: Sequence[str],
) -> tuple[StepRecord, Array] | None:
    """Run a library step by step. Returns: the first step that is wrong, and its result; None if all are right.

    Args:
        inputs: in the library's order. output_names: of the records that are outputs, likewise.
    """
    outputs = [np.empty(shape, dtype) for shape, dtype in library.outputs]
    of_caller = dict(zip(output_names, outputs, strict=True))
    awaited = {each.index: each for each in expected}
    wrong: list[tuple[StepRecord, Array]] = []

    def tap(index: int, arena: int) -> None:
        record = records[index]
        if wrong or index not in awaited or (record.offset is None and record.output not in of_caller):
            return  # after a wrong step nothing is known; an input in another shape is computed nowhere
        result = of_caller[record.output] if record.offset is None else read_result(record, arena)
        if not awaited[index].agrees(result):
            wrong.append((record, result.copy()))
            return
        value = awaited[index].value
        if value is not None and record.offset is None:
            np.copyto(of_caller[record.output], value)
        elif value is not None:
            write_result(record, arena, value)

    library.run(inputs, tap, outputs)
    return wrong[0] if wrong else None


def _damaged(artifact: Artifact, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"{artifact.directory / 'deploy.json'}: does not describe steps ({error}); compile the model again"
    )


def _sha256(value: Array) -> str:
    """Of the elements; zeros count alike whatever their sign."""
    if value.dtype == np.float32:
        value = value.astype(np.float32) + np.float32(0)
    return hashlib.sha256(value.tobytes()).hexdigest()
