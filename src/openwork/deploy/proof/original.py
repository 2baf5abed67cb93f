"""What the user's own file computes, according to its own runtime.

openwork reads a file, rewrites it, lowers it and compiles it. To hold the library against the rewritten graph alone
would leave every mistake of the reading and the rewriting unseen. So the file as it was given is run as well: ONNX by
onnxruntime, TFLite by an interpreter where one is installed, in a process of its own.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir

from openwork.deploy.artifact import Reference
from openwork.deploy.channels_last import NCHW_FROM_NHWC, NHWC_FROM_NCHW
from openwork.deploy.library import Array
from openwork.deploy.proof.conditioning import LEAST, LEAST_OF_INTEGERS, MULTIPLE
from openwork.deploy.proof.difference import ANYTHING, difference, value_range
from openwork.deploy.proof.isolated import child_arguments, child_environment, death
from openwork.deploy.proof.tolerance import Arithmetic, arithmetic
from openwork.deploy.tensors import QUANTIZED
from openwork.errors import VerificationError
from openwork.frontends import is_torch_file
from openwork.graph import Rounding
from openwork.lowering import Program

# How many times as far as rounding to float32 moves an output float16 may: its steps are 2^13 times as coarse, and
# rounding is measured for the worst of orders.
HALVES = 2**9

# Seconds after which a runtime is taken to hang.
PATIENCE = 1800.0

# As a fraction of the range of an output: what quantizing activations to 8 bits may cost.
DYNAMIC = 0.1


@dataclass(frozen=True)
class Said:
    """What the original file computes: an array an output, in order; other floats as float32.

    halves: whether it computes in float16 or bfloat16, which openwork does not.
    apart: whether rows among others give what they give alone; None where nobody can say.
    """

    outputs: list[Array]
    runtime: str
    halves: bool
    apart: bool | None = None

    @property
    def reference(self) -> Reference:
        return Reference(f"original file with {self.runtime}", "")


@dataclass(frozen=True)
class OwnGraph:
    """What openwork made of a model, and what that gives.

    results: of each output, in the layout. layout: `nchw` or `nhwc`. rounding: of the model.
    dynamic: whether the original quantizes while it runs, where openwork computes in floats.
    """

    program: Program
    results: Mapping[str, Array]
    layout: str
    rounding: Rounding = "float32"
    dynamic: bool = False

    def ask(self, original: Path | ir.Model | None, inputs: Mapping[str, Array]) -> Said | str:
        """What the original gives, in the layout, or why nobody can say. inputs: by name, in the layout.

        Raises: VerificationError: outputs of another number, shape or type; names one.
        """
        given = [self._permuted(inputs[name], NCHW_FROM_NHWC) for name in self.program.inputs]
        said = run_original(original, given, self.rounding)
        if isinstance(said, str):
            return said
        said = replace(said, outputs=[self._permuted(output, NHWC_FROM_NCHW) for output in said.outputs])
        _check_alike(self.results, said)
        pairs = zip(self.results.values(), said.outputs, strict=True)
        if any((np.isfinite(ours) & ~np.isfinite(theirs)).any() for ours, theirs in pairs):
            return "its results hold NaN or infinity where openwork's graph's do not"
        return said

    def replaced(self, said: Said | str) -> dict[str, Array]:
        """Those of the original's results that the library itself is held against: sums of floats."""
        if isinstance(said, str) or said.halves or self.dynamic:
            return {}
        behind = arithmetic(self.program)
        floats = [behind[name] is Arithmetic.FLOAT and not self._quantized for name in self.results]
        return {name: output for name, output, yes in zip(self.results, said.outputs, floats, strict=True) if yes}

    def check(self, said: Said | str, moved: Mapping[str, float]) -> None:
        """Hold the graph's results against the original's.

        Args:
            moved: how far each output moves by rounding, or by half a step of each quantized tensor, by name.
        Raises: VerificationError: an output is farther off than its tolerance; names it.
        """
        if isinstance(said, Said):
            named = zip(self.results, said.outputs, strict=True)
            _check_values(self.results, said, [self._allowed(right, moved[name], said.halves) for name, right in named])

    def reference(self, said: Said | str) -> Reference:
        if isinstance(said, Said):
            return said.reference
        own = "its interpreter" if self._quantized else f"onnxruntime {version('onnxruntime')}"
        return Reference(f"openwork's graph with {own}", said)

    @property
    def _quantized(self) -> bool:
        return any(buffer.dtype in QUANTIZED for buffer in self.program.buffers.values())

    def _allowed(self, right: Array, moved: float, halves: bool) -> float:
        """As floats and integers may differ that are computed in another order or with other roundings."""
        if self.dynamic:
            return DYNAMIC * value_range(right)
        loose = self._quantized or halves
        if moved and right.dtype != np.float32 and right.dtype not in QUANTIZED:
            return ANYTHING  # an index of what nearly ties
        times = HALVES if halves else 1.0 if self._quantized else MULTIPLE
        return max(times * moved, (LEAST_OF_INTEGERS if loose else LEAST) * value_range(right))

    def _permuted(self, array: Array, order: tuple[int, ...]) -> Array:
        return np.ascontiguousarray(array.transpose(order)) if self.layout == "nhwc" and array.ndim == 4 else array


def run_original(
    original: Path | ir.Model | None, inputs: Sequence[Array], rounding: Rounding = "float32"
) -> Said | str:
    """Run a model as it was given; never fails.

    Args:
        original: a file; or a model as it was exported, before `canonicalise`; None if there is none.
        inputs: in the model's order, images laid out as in it.
        rounding: that the model asks for.
    Returns: what it computes, or why nobody can say.
    """
    if original is None:
        return "no file was given"
    if rounding != "float32" and not (isinstance(original, Path) and original.suffix.lower() == ".tflite"):
        return f"its integers round by {rounding}, which onnxruntime does not"
    with TemporaryDirectory(prefix="openwork.") as scratch:
        folder = Path(scratch)
        if isinstance(original, Path):
            path = original
            if is_torch_file(path):
                return "files of torch are not run"
        else:
            path = folder / "model.onnx"
            try:
                onnx.save(ir.to_proto(original), str(path), save_as_external_data=True, location="model.data")
            except Exception as error:  # what onnx_ir or protobuf cannot write
                return f"the model cannot be written as a file ({type(error).__name__})"
        for index, array in enumerate(inputs):
            np.save(folder / f"input{index}.npy", array)
        return _run(path, folder)


def saturation(original: Path, inputs: Sequence[Array]) -> float:
    """How far onnxruntime is off when it runs a quantized file as it does by itself; never fails.

    On processors without VNNI its kernels add pairs of products of 8 bits in 16 bits, which saturate. They do not where
    it is told to be precise; all else is the same.

    Args: inputs: as for `run_original`.
    Returns: the largest difference as a share of an output's range; 0 where nobody can say.
    """
    if original.suffix.lower() == ".tflite" or is_torch_file(original):
        return 0.0
    with TemporaryDirectory(prefix="openwork.") as scratch:
        folder = Path(scratch)
        for index, array in enumerate(inputs):
            np.save(folder / f"input{index}.npy", array)
        answer = _answer(original, folder, "saturation")
    return 0.0 if isinstance(answer, str) else float(answer["saturation"])


def _run(path: Path, folder: Path) -> Said | str:
    answer = _answer(path, folder)
    if isinstance(answer, str):
        return answer
    outputs = [np.load(folder / f"output{index}.npy") for index in range(answer["outputs"])]
    return Said(outputs, answer["runtime"], answer["halves"], answer["apart"])


def _answer(path: Path, folder: Path, *question: str) -> Mapping[str, Any] | str:
    """What the process of `runtimes` answers, or why it does not."""
    try:
        done = subprocess.run(
            child_arguments("openwork.deploy.proof.runtimes", str(path.absolute()), str(folder), *question),
            env=child_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"its runtime gave nothing within {PATIENCE:g} s"
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        return " ".join([f"its runtime {death(done.returncode)}", *(f"({line[:200]})" for line in last)])
    answer: dict[str, Any] = json.loads((folder / "answer.json").read_bytes())
    return str(answer["refused"]) if "refused" in answer else answer


def _check_alike(ours: Mapping[str, Array], said: Said) -> None:
    """Hold number, shapes and types of what openwork's graph gives against the original's.

    Raises: VerificationError: they differ; names the output.
    """
    if len(ours) != len(said.outputs):
        raise _differs("outputs", f"there are {len(ours)}", said, f"gives {len(said.outputs)}")
    for (name, array), right in zip(ours.items(), said.outputs, strict=True):
        if (array.shape, array.dtype) != (right.shape, right.dtype):
            raise _differs(
                f"output {name!r}",
                f"is {array.dtype}{list(array.shape)}",
                said,
                f"gives {right.dtype}{list(right.shape)}",
            )


def _check_values(ours: Mapping[str, Array], said: Said, tolerances: Sequence[float]) -> None:
    """Hold the values likewise, after `check_alike`.

    Raises: VerificationError: an output is farther off than its tolerance; names it.
    """
    for (name, array), right, allowed in zip(ours.items(), said.outputs, tolerances, strict=True):
        found = difference(name, array, right, allowed)
        if not found.passed:
            raise _differs(
                f"output {name!r}",
                f"is up to {found.max_abs_diff:g} off, where {allowed:g} is allowed,",
                said,
                f"gives {right.min():g} to {right.max():g}",
            )


def _differs(what: str, ours: str, said: Said, theirs: str) -> VerificationError:
    return VerificationError(
        f"{what}: {ours} in openwork's graph, but the original file with {said.runtime} {theirs};"
        " openwork's graph differs from the original file, nothing was written, please report the model"
    )
