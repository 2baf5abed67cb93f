"""Repeat the proof of an artifact from its files alone."""

from dataclasses import dataclass
from pathlib import Path

from openwork.deploy.difference import Difference, difference
from openwork.deploy.session import InferenceSession
from openwork.deploy.tensors import read_tensor


@dataclass(frozen=True)
class Verification:
    """Each output of an artifact against its reference."""

    outputs: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        return all(output.passed for output in self.outputs)


def verify(directory: Path | str, *, threads: int | None = None) -> Verification:
    """Check all hashes, run the stored inputs and hold the results against the stored references.

    Args:
        directory: an artifact. threads: as for `InferenceSession`.
    Raises: ArtifactError: the artifact is incomplete, changed or from another version.
    """
    with InferenceSession(directory, threads=threads) as session:
        artifact = session.artifact
        inputs = {tensor.name: read_tensor(artifact.directory, tensor) for tensor in artifact.inputs}
        results = session.run(None, inputs)
    return Verification(
        tuple(
            difference(tensor.name, result, read_tensor(artifact.directory, tensor), proof.tolerance)
            for tensor, result, proof in zip(artifact.outputs, results, artifact.proof, strict=True)
        )
    )
