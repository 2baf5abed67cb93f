"""From a model to an artifact, in a straight line of steps."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.backends.cpu import (
    CSRC,
    WIDTHS,
    Source,
    StepRecord,
    build,
    compile_executable,
    find_compiler,
    result_span,
)
from openwork.deploy.artifact import SCHEMA_VERSION, Artifact, canonical, write_manifest
from openwork.deploy.channels_last import channels_last
from openwork.deploy.place import check_replaceable
from openwork.deploy.processor import processor
from openwork.deploy.proof import noise
from openwork.deploy.proof.conditioning import deviations, ill_conditioned, rounding_noise, tolerances
from openwork.deploy.proof.difference import Difference, difference, value_range, worst
from openwork.deploy.proof.isolated import IsolatedLibrary, on_each_instruction_set, step_labels
from openwork.deploy.proof.original import OwnGraph, Said
from openwork.deploy.proof.steps import Expected, expected_steps, first_wrong, write_steps
from openwork.deploy.proof.tolerance import is_in_floats, is_told_by_outputs
from openwork.deploy.tensors import QUANTIZED, TensorFile, random_inputs, write_tensor
from openwork.errors import BuildError, ModelError, TargetError, VerificationError
from openwork.files import whole_directory, write_whole
from openwork.frontends import input_specs
from openwork.graph import Rounding, dynamic_layers, dynamic_note, evaluate, rounding_of, static_shape
from openwork.lowering import Program, batch_of, interpreter, lower
from openwork.targets import Target

LARGEST_TENSOR = 1 << 28  # elements
# Of the range of an output: how far quantization moves it, where nobody can measure it.
UNKNOWN = 0.02

Values = Mapping[str, NDArray[np.generic]]


def compile_model(
    model: ir.Model,
    directory: Path,
    *,
    target: Target,
    threads: int = 2,
    layout: Literal["nchw", "nhwc"] = "nchw",
    seed: int = 0,
    original: Path | ir.Model | None = None,
    force: bool = False,
) -> Artifact:
    """Compile a model and prove the library right before anybody sees it.

    Args:
        model: canonical (`passes.canonicalise`), with static shapes. Not modified.
        directory: where the artifact is written; it may be new, empty, an older artifact, or a link to one.
        threads: 1 to 64 that the library uses unless told otherwise.
        layout: of rank-4 inputs and outputs.
        seed: of the test inputs.
        original: where the model came from: its file, or as it was exported, before `canonicalise`. Where its own
            runtime runs it, that is the reference (`deploy.proof.original`).
        force: replace an older artifact even if it also holds files that openwork did not write; they are lost.
    Returns: the artifact, as written.
    Raises: UnsupportedError: the model has operators openwork does not take. ModelError: a tensor of it has more
        than LARGEST_TENSOR elements. TargetError: not a cpu, or one that does not round as the model asks.
        BuildError: the compiler is missing or fails. ArtifactError: `directory` cannot be written, holds
        something else, or is being written by another process. VerificationError: the library differs from the
        reference, crashes or hangs. Nothing is written then.
    """
    _check(target, rounding_of(model), threads, layout)
    _check_sizes(model)
    quantizations = {tensor.name: tensor.quantization for tensor in input_specs(model)}
    dynamic = dynamic_layers(model)
    if layout == "nhwc":
        model = channels_last(model)
    program = lower(model, WIDTHS)
    inputs = _tensor_files(program, program.inputs, "input{}.bin")
    inputs = tuple(replace(tensor, quantization=quantizations[tensor.name]) for tensor in inputs)
    outputs = _tensor_files(program, program.outputs, "ref_result_{}.bin")
    with whole_directory(directory, may_replace=partial(check_replaceable, force=force)) as folder:
        steps = build(program, folder, target=target, threads=threads)
        values, references = _tested(model, program, inputs, seed)
        graph = OwnGraph(
            program, {name: references[name] for name in program.outputs}, layout, rounding_of(model), bool(dynamic)
        )
        said = graph.ask(original, values)
        references |= graph.replaced(said)
        expected = [] if is_told_by_outputs(program) else expected_steps(program, values)
        for tensor in inputs + outputs:
            write_tensor(folder, tensor, (values | references)[tensor.name])
        proved, results, moved = _prove(folder, threads, target, program, steps, values, expected)
        # How far quantizing moves an output does not enter its proof: integers are right to the bit.
        spread = moved if is_in_floats(program) else _quantization(model, values, references)
        graph.check(said, spread)
        proof = _held(program, results, references, tolerances(program, references, moved))
        reference = graph.reference(said)
        artifact = Artifact(
            folder,
            target.name,
            inputs,
            outputs,
            0 if isinstance(said, Said) and said.apart is False else batch_of(program),
            layout,
            threads,
            seed,
            proof,
            processor(),
            proved,
            reference,
        )
        notes = [*program.notes, *map(dynamic_note, dynamic), *ill_conditioned(program, references, moved)]
        notes += _no_numbers(program, references)
        fractions = [spread[name] / (value_range(references[name]) or 1.0) for name in program.outputs]
        _describe(artifact, notes, [step.to_json() for step in steps], write_steps(folder, expected), fractions)
        _add_inference(folder, target)
        write_manifest(artifact)
    return replace(artifact, directory=directory)


def _check(target: Target, rounding: Rounding, threads: int, layout: str) -> None:
    if target.family != "cpu":
        raise TargetError(f"target {target.name!r}: is no cpu; choose a target of the cpu family")
    if rounding not in target.requantize:
        raise TargetError(
            f"target {target.name!r}: rounds as {' or '.join(target.requantize)}, but the model's integers round as"
            f" {rounding}; quantize the model for this target, or choose another"
        )
    if not 1 <= threads <= 64:
        raise BuildError(f"threads: {threads} was given; choose 1 to 64")
    if layout not in ("nchw", "nhwc"):
        raise BuildError(f"layout: {layout!r} was given; choose nchw or nhwc")


def _check_sizes(model: ir.Model) -> None:
    """Refuse what no machine could run, before anything of that size is made."""
    for value in (*model.graph.inputs, *(output for node in model.graph for output in node.outputs if output.name)):
        if value.shape is None or not value.shape.is_static():
            continue  # `lower` tells why
        shape = static_shape(value)
        if prod(shape) > LARGEST_TENSOR:
            raise ModelError(
                f"tensor {value.name!r}: {list(shape)} are more than {LARGEST_TENSOR:,} elements;"
                " compile the model for smaller shapes"
            )


def _tensor_files(program: Program, names: Sequence[str], file: str) -> tuple[TensorFile, ...]:
    buffers = [program.buffers[name] for name in names]
    return tuple(
        TensorFile(name, buffer.shape, buffer.dtype, file.format(index))
        for index, (name, buffer) in enumerate(zip(names, buffers, strict=True))
    )


def _tested(
    model: ir.Model, program: Program, inputs: Sequence[TensorFile], seed: int
) -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """Test inputs, and what the outputs should be: of random inputs, or of their magnitudes where those leave more
    numbers, as in front of a logarithm or a root.

    Raises: VerificationError: an output holds no number in either case.
    """
    values = random_inputs(inputs, seed)
    references = _references(model, program, values)
    if _missing(program, references):
        positive = {name: np.abs(array) if array.dtype == np.float32 else array for name, array in values.items()}
        others = _references(model, program, positive)
        if _missing(program, others) < _missing(program, references):
            values, references = positive, others
    for name in program.outputs:
        if references[name].size and not np.isfinite(references[name]).any():
            raise VerificationError(
                f"output {name!r}: the reference holds nothing but NaN or infinity; check the model's weights"
            )
    return values, references


def _missing(program: Program, references: Values) -> int:
    """How many elements of the outputs are no numbers."""
    return sum(int(np.count_nonzero(~np.isfinite(references[name]))) for name in program.outputs)


def _references(model: ir.Model, program: Program, inputs: Values) -> dict[str, NDArray[np.generic]]:
    """What the outputs should be, from the interpreter where there are quantized integers, else from onnxruntime."""
    if not any(buffer.dtype in QUANTIZED for buffer in program.buffers.values()):
        references = evaluate(model, inputs)
    else:
        references = interpreter.run(program, inputs)
    return references


def _prove(
    folder: Path,
    threads: int,
    target: Target,
    program: Program,
    records: Sequence[StepRecord],
    inputs: Values,
    expected: Sequence[Expected],
) -> tuple[tuple[str, ...], dict[str, list[NDArray[np.generic]]], dict[str, float]]:
    """Run the library just built, in a process of its own, on each instruction set that this machine has, and hold
    each step that something is expected of.

    Returns: the instruction sets; on each the outputs; how far rounding moves those, by name.
    """
    spans = {record.index: result_span(record) for record in records if record.offset is not None}
    labels = step_labels([record.to_json() for record in records])
    given = [inputs[name] for name in program.inputs]
    results: dict[str, list[NDArray[np.generic]]] = {}
    with IsolatedLibrary(folder, threads, spans=spans, steps=labels) as library:

        def prove() -> None:
            wrong = first_wrong(library, records, expected, given, program.outputs) if expected else None
            if wrong is not None:
                what = f"step {wrong.record.name!r} ({wrong.record.operator})"
                raise _wrong(what, f"{wrong} on {library.isa}")
            results[library.isa] = library.run(given)

        proved = on_each_instruction_set(library, target.instruction_sets, prove)
        moved = deviations(library, records, rounding_noise(program, expected), given, program.outputs)
    return proved, results, moved


def _quantization(model: ir.Model, inputs: Values, references: Values) -> Mapping[str, float]:
    """How far half a step of each quantized tensor moves each output."""
    try:
        return noise.moved(model, inputs, runs=2)
    except ModelError:  # onnxruntime does not take all that openwork does: then what is usual
        return {name: UNKNOWN * value_range(reference) for name, reference in references.items()}


def _no_numbers(program: Program, references: Values) -> list[str]:
    """A line for each output that holds NaN or infinity."""
    counts = {name: int(np.count_nonzero(~np.isfinite(references[name]))) for name in program.outputs}
    return [
        f"output {name!r}: {count} of {references[name].size} elements are NaN or infinite on the test inputs"
        for name, count in counts.items()
        if count
    ]


def _held(
    program: Program,
    results: Mapping[str, Sequence[NDArray[np.generic]]],
    references: Values,
    tolerances: Sequence[float],
) -> tuple[Difference, ...]:
    """Hold the outputs, on every instruction set. Returns: the worst of each."""
    proof = []
    for index, (name, allowed) in enumerate(zip(program.outputs, tolerances, strict=True)):
        each = {isa: difference(name, outputs[index], references[name], allowed) for isa, outputs in results.items()}
        for isa, found in each.items():
            if not found.passed:
                how = f"is up to {found.max_abs_diff:g} off the reference on {isa}, {found.tolerance:g} is allowed"
                raise _wrong(f"output {name!r}", how)
        proof.append(worst(list(each.values())))
    return tuple(proof)


def _wrong(what: str, how: str) -> VerificationError:
    return VerificationError(f"{what}: the compiled library {how}; nothing was written, please report the model")


def _describe(
    artifact: Artifact,
    notes: Sequence[str],
    steps: list[dict[str, Any]],
    proof: list[dict[str, Any]],
    moved: Sequence[float],
) -> None:
    description = {
        "schema_version": SCHEMA_VERSION,
        "inputs": [tensor.to_json() for tensor in artifact.inputs],
        "outputs": [tensor.to_json() for tensor in artifact.outputs],
        "batch": artifact.batch,
        "layout": artifact.layout,
        "threads": artifact.threads,
        "tolerance": [output.tolerance for output in artifact.proof],
        "moved": list(moved),
        "notes": list(notes),
        "steps": steps,
        "proof": proof,
    }
    write_whole(artifact.directory / "deploy.json", canonical(description))


def _add_inference(folder: Path, target: Target) -> None:
    """The test program, as source and compiled."""
    for name in ("inference.cpp", "CMakeLists.txt"):
        shutil.copyfile(CSRC / "inference" / name, folder / name)
    compile_executable(
        find_compiler(target.triple),
        Source(
            CSRC / "inference" / "inference.cpp",  # compilers stumble over odd names of `folder`
            # Without the prefix, __FILE__ is the same on every machine.
            (
                "-std=c++17",
                "-fno-exceptions",
                "-fno-rtti",
                f"-fmacro-prefix-map={CSRC.resolve() / 'inference'}/=",
            ),
            (CSRC / "include",),
        ),
        folder / "inference",
    )
