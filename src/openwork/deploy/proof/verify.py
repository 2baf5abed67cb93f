"""Repeat the proof of an artifact from its files alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from openwork.deploy.artifact import Artifact, open_artifact
from openwork.deploy.library import Array
from openwork.deploy.proof.difference import Difference, difference, worst
from openwork.deploy.proof.isolated import IsolatedLibrary, on_each_instruction_set, open_isolated
from openwork.deploy.session import check_promised
from openwork.deploy.tensors import read_tensor
from openwork.errors import DataError
from openwork.targets import load_target


@dataclass(frozen=True)
class Verification:
    """Each output of an artifact against its reference, and what its steps said.

    outputs: the worst of the instruction sets.
    proved: the instruction sets: all that the library brings and this machine has, best first.
    steps: how many were held by themselves: all, or none where the outputs say it all.
    wrong_step: the name of the first of them that is wrong; None if all are right.
    """

    outputs: tuple[Difference, ...]
    proved: tuple[str, ...]
    steps: int
    wrong_step: str | None

    @property
    def passed(self) -> bool:
        return self.wrong_step is None and all(output.passed for output in self.outputs)


def verify(directory: Path | str, *, threads: int | None = None) -> Verification:
    """Check all hashes, run the stored inputs and hold the results against the stored references.

    It is the proof that was made when the model was compiled, with the integers and floats of each step where the
    outputs alone would tell little (`deploy.proof.steps`); on each instruction set, in a process of its own.

    Args:
        directory: an artifact. threads: as for `InferenceSession`.
    Raises: ArtifactError: the artifact is incomplete, changed or from another version. DataError: wrong threads.
        VerificationError: its library crashes or hangs.
    """
    if threads is not None and not 1 <= threads <= 64:
        raise DataError(f"threads: {threads} was given; choose 1 to 64")
    artifact = open_artifact(Path(directory).absolute())
    inputs = [read_tensor(artifact.directory, tensor) for tensor in artifact.inputs]
    references = [read_tensor(artifact.directory, tensor) for tensor in artifact.outputs]
    held = len(artifact.step_proof())
    found: list[tuple[Difference, ...]] = []
    wrong: list[str] = []
    with open_isolated(artifact, threads or artifact.threads, tapped=held > 0) as library:
        check_promised(artifact, library)

        def prove() -> None:
            found.append(
                tuple(
                    difference(tensor.name, result, reference, proof.tolerance)
                    for tensor, result, reference, proof in zip(
                        artifact.outputs, library.run(inputs), references, artifact.proof, strict=True
                    )
                )
            )
            if held:
                wrong.extend(_wrong_steps(artifact, library, inputs))

        proved = on_each_instruction_set(library, load_target(artifact.target).instruction_sets, prove)
    outputs = tuple(map(worst, zip(*found, strict=True)))
    return Verification(outputs, proved, held, next(iter(wrong), None))


def _wrong_steps(artifact: Artifact, library: IsolatedLibrary, inputs: Sequence[Array]) -> list[str]:
    from openwork.deploy.proof.steps import first_wrong, read_steps, step_records  # they bring onnx_ir along

    names = [tensor.name for tensor in artifact.outputs]
    wrong = first_wrong(library, step_records(artifact), read_steps(artifact), inputs, names)
    return [] if wrong is None else [wrong.record.name]
