"""The artifact: a directory that holds a compiled network and the proof that it computes what it should.

    deploy.so       the network as a native library, called through openwork.h
    deploy.params   its weights
    deploy.json     its inputs, outputs and steps: what a debugger or another program needs
    deploy.c        the generated source of deploy.so, to be read
    inputK.bin, ref_result_K.bin    test inputs and the results to expect
    steps.bin       a sample of the results to expect of steps inside, where there are sums of floats; else empty
    inference, inference.cpp, CMakeLists.txt    runs the test, without Python
    manifest.json   versions, sizes and hashes of all of the above, and how well the test went

The manifest holds a seal, its own hash, so that no byte of an artifact can change unnoticed. Bytes depend on
the model, the options and the seed alone, those of the manifest also on the processor that proved it: no time, no path,
no order of a hash table.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from openwork import __version__
from openwork.deploy.proof.difference import Difference
from openwork.deploy.tensors import TensorFile
from openwork.errors import ArtifactError
from openwork.files import read_regular, write_whole

MANIFEST = "manifest.json"
SCHEMA_VERSION = 2
ABI = 1  # OPENWORK_ABI of openwork.h

PROGRAM_FILES = (
    "deploy.so",
    "deploy.params",
    "deploy.json",
    "deploy.c",
    "openwork.h",
    "inference",
    "inference.cpp",
    "CMakeLists.txt",
    "steps.bin",
)


@dataclass(frozen=True)
class Reference:
    """Which model said what the outputs should be: `original file with onnxruntime 1.31.1`.

    why: why it was not the original file; empty where it was.
    """

    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.name} ({self.why})" if self.why else self.name


@dataclass(frozen=True)
class Artifact:
    """What the manifest says.

    target: name of the target.
    inputs, outputs: in the order of the library's.
    batch: size of the first axis, if it is a batch of rows that do not meet (`lowering.batch_of`); else 0.
    layout: of rank-4 inputs and outputs, `nchw` or `nhwc`.
    threads: that the library uses unless told otherwise.
    seed: of the test inputs.
    proof: each output against its reference, as measured when the model was compiled; the worst of `proved`.
    processor: the name of the one that `proof` and `proved` come from.
    proved: the instruction sets that were held against it: all that the compiling machine has, best first.
    reference: whose results are right. Where integers are computed, `proof` is beside the interpreter's, which must be
        equal; the interpreter's were held against those of `reference`.
    """

    directory: Path
    target: str
    inputs: tuple[TensorFile, ...]
    outputs: tuple[TensorFile, ...]
    batch: int
    layout: str
    threads: int
    seed: int
    proof: tuple[Difference, ...]
    processor: str
    proved: tuple[str, ...]
    reference: Reference

    @property
    def file_names(self) -> tuple[str, ...]:
        """All files but the manifest, sorted."""
        return tuple(sorted({*PROGRAM_FILES, *(tensor.file for tensor in self.inputs + self.outputs)}))

    def steps(self) -> list[dict[str, Any]]:
        """The steps of the library as deploy.json describes them."""
        return list(self._description()["steps"])

    def notes(self) -> list[str]:
        """One line for each quantized layer that computes in float nevertheless, and why; dynamic ones too."""
        return list(self._description()["notes"])

    def moved(self) -> list[float]:
        """How far each output moved, as a fraction of its range, see `deploy.networks.Network.moved`.

        Raises: ArtifactError: deploy.json does not tell.
        """
        try:
            return [float(fraction) for fraction in self._description()["moved"]]
        except (KeyError, TypeError, ValueError) as error:
            where = self.directory / "deploy.json"
            raise ArtifactError(f"{where}: does not tell how far outputs move; compile the model again") from error

    def step_proof(self) -> list[dict[str, Any]]:
        """What each step should give, see `deploy.proof.steps`; empty where the outputs say it all."""
        return list(self._description()["proof"])

    def _description(self) -> dict[str, Any]:
        description: dict[str, Any] = json.loads((self.directory / "deploy.json").read_bytes())
        return description


def canonical(content: Any) -> str:
    """JSON with one spelling: sorted keys, an indent of one, no NaN, a newline at the end."""
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def write_manifest(artifact: Artifact) -> None:
    """Hash the files of the artifact's directory and write their manifest beside them.

    Raises: ArtifactError: a file is missing, or the manifest cannot be written.
    """
    manifest = {
        "schema_version": SCHEMA_VERSION,
        "openwork": __version__,
        "abi": ABI,
        "target": artifact.target,
        "inputs": [tensor.to_json() for tensor in artifact.inputs],
        "outputs": [tensor.to_json() for tensor in artifact.outputs],
        "batch": artifact.batch,
        "layout": artifact.layout,
        "threads": artifact.threads,
        "seed": artifact.seed,
        "proof": [difference.to_json() for difference in artifact.proof],
        "processor": artifact.processor,
        "proved": list(artifact.proved),
        "reference": asdict(artifact.reference),
        "files": {name: _fingerprint(artifact.directory / name) for name in artifact.file_names},
    }
    write_whole(artifact.directory / MANIFEST, _sealed(manifest))


def open_artifact(directory: Path | str) -> Artifact:
    """Read an artifact's manifest and check every file against it.

    Raises: ArtifactError: no artifact, one of another version, or one with a missing or changed file.
    """
    directory = Path(directory)
    manifest = _read_manifest(directory / MANIFEST)
    try:
        artifact = _artifact_of(directory, manifest)
        files = {name: manifest["files"][name] for name in artifact.file_names}
    except (KeyError, TypeError, ValueError) as error:
        raise ArtifactError(f"{directory / MANIFEST}: is not a manifest ({error}); compile the model again") from error
    for name, expected in files.items():
        if _fingerprint(directory / name) != expected:
            raise ArtifactError(f"{directory / name}: has changed since it was compiled; compile the model again")
    return artifact


def files_written(directory: Path) -> frozenset[str] | None:
    """The names of all files of an artifact, of whatever version; None if no unbroken manifest tells them."""
    try:
        content = read_regular(directory / MANIFEST)
        manifest = json.loads(content)
        manifest.pop("seal")
        return frozenset({MANIFEST, *manifest["files"]}) if _sealed(manifest) == content else None
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None


def _artifact_of(directory: Path, manifest: Mapping[str, Any]) -> Artifact:
    artifact = Artifact(
        directory,
        str(manifest["target"]),
        tuple(TensorFile.from_json(entry) for entry in manifest["inputs"]),
        tuple(TensorFile.from_json(entry) for entry in manifest["outputs"]),
        int(manifest["batch"]),
        str(manifest["layout"]),
        int(manifest["threads"]),
        int(manifest["seed"]),
        tuple(Difference.from_json(entry) for entry in manifest["proof"]),
        str(manifest["processor"]),
        tuple(map(str, manifest["proved"])),
        Reference(**manifest["reference"]),
    )
    if any(Path(name).name != name for name in artifact.file_names):
        raise ValueError("it names a file outside the directory")
    if artifact.batch and {tensor.shape[:1] for tensor in artifact.inputs + artifact.outputs} != {(artifact.batch,)}:
        raise ValueError("its batch is not the first dimension of every tensor")
    if len(artifact.proof) != len(artifact.outputs):
        raise ValueError("it does not have one proof for each output")
    return artifact


def _read_manifest(path: Path) -> dict[str, Any]:
    """The manifest, after its versions and its seal were checked."""
    try:
        content = read_regular(path)
    except OSError as error:
        raise ArtifactError(
            f"{path}: cannot be read ({error.strerror}); give a directory that `openwork compile` wrote"
        ) from error
    changed = ArtifactError(f"{path}: has changed since it was compiled; compile the model again")
    try:
        manifest = json.loads(content)
        versions = {key: manifest[key] for key in ("schema_version", "abi")}
        manifest.pop("seal")
        unbroken = _sealed(manifest) == content
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise changed from error
    if versions != {"schema_version": SCHEMA_VERSION, "abi": ABI}:
        raise ArtifactError(
            f"{path}: is from another version of openwork (schema {versions['schema_version']},"
            f" abi {versions['abi']}; not {SCHEMA_VERSION}, {ABI}); compile the model again"
        )
    if not unbroken:
        raise changed
    return dict(manifest)


def _sealed(manifest: Mapping[str, Any]) -> bytes:
    """The manifest's bytes, closed by the hash of themselves."""
    seal = hashlib.sha256(canonical(manifest).encode()).hexdigest()
    return canonical({**manifest, "seal": seal}).encode()


def _fingerprint(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ArtifactError(f"{path}: is missing; compile the model again")
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ArtifactError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    return {"bytes": path.stat().st_size, "sha256": digest}
