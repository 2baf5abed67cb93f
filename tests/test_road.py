"""The whole road on random networks: ONNX, canonical, quantized, lowered, fused, compiled. See `tests/roads.py`.

OPENWORK_GRAPHS=10000 pytest tests/test_road.py compiles as many of floats and as many of integers.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openwork.backends.cpu import StepRecord
from openwork.deploy.library import Library
from openwork.deploy.proof.steps import expected_steps, first_wrong
from openwork.graph import evaluate
from openwork.lowering import Program, interpreter, lower
from openwork.lowering.lower import draft_program
from openwork.passes import canonicalise
from openwork.quantization import calibrate, quantize
from tests.backends.cpu.programs import instruction_sets_here
from tests.backends.cpu.together import built_together
from tests.roads import inputs_of, islands, roads, run_as_written

Arrays = dict[str, NDArray[np.generic]]

# Networks that are compiled together, and how often that is done for floats and for integers.
PART = 25
PARTS = -(-int(os.environ.get("OPENWORK_GRAPHS", "300")) // (2 * PART))
# The same examples each time; more are tried by raising the number.
SOME = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MORE = settings(SOME, max_examples=100)


def assert_near(result: Arrays, expected: Arrays) -> None:
    """Floats within 1e-4 of what is expected, as a fraction of its largest magnitude."""
    for name, array in expected.items():
        assert result[name].shape == array.shape
        atol = 1e-4 * float(np.abs(array).max())
        np.testing.assert_allclose(result[name], array, rtol=0, atol=atol, err_msg=name)


def assert_equal(result: Arrays, expected: Arrays) -> None:
    for name, array in expected.items():
        assert result[name].dtype == array.dtype
        np.testing.assert_array_equal(result[name], array, err_msg=name)


def quantized(model: ir.Model) -> ir.Model:
    """A canonical model, quantized by the ranges of three batches; the first is the one it is tested on."""
    return quantize(model, calibrate(model, [inputs_of(model, seed=seed) for seed in (1, 2, 3)]))


@dataclass(frozen=True)
class Case:
    """A network on its way into a library. expected: by output, or by step."""

    model: ir.Model
    program: Program
    inputs: Arrays
    expected: Any


def libraries(
    part: int, graphs: st.SearchStrategy[ir.Model], prepare: Callable[[ir.Model], Case], folder: Path
) -> Iterator[tuple[Case, tuple[StepRecord, ...], Library]]:
    """PART random networks, always the same of a part, compiled together: each on each instruction set.

    A failure while one is prepared is made small and printed; the file of one that fails later is told.
    """
    cases: list[Case] = []

    @seed(part)
    @settings(SOME, max_examples=PART, derandomize=False, database=None)
    @given(graphs)
    def draw(model: ir.Model) -> None:
        cases.append(prepare(model))

    draw()
    for index, (case, (directory, records)) in enumerate(
        zip(cases, built_together([case.program for case in cases], folder), strict=True)
    ):
        for isa in instruction_sets_here():
            with mock.patch.dict(os.environ, OPENWORK_ISA=isa):
                library = Library(directory, 2)
            try:
                yield case, records, library
            except BaseException:
                ir.save(case.model, directory / "model.onnx")
                print(f"network {index} of part {part}, on {isa}, is {directory / 'model.onnx'}")
                raise
            finally:
                library.close()


def outputs_of(case: Case, library: Library) -> Iterator[Arrays]:
    """Of two runs: the second meets the memory that the first one left."""
    given = [np.ascontiguousarray(case.inputs[name]) for name in case.program.inputs]
    for _ in range(2):
        yield dict(zip(case.program.outputs, library.run(given), strict=True))


@pytest.mark.parametrize("part", range(2 * PARTS))
def test_float_libraries_agree_with_onnxruntime(part: int, tmp_path: Path) -> None:
    def prepare(model: ir.Model) -> Case:
        inputs = inputs_of(model)
        expected = evaluate(model, inputs)
        canonicalise(model)
        return Case(model, lower(model), inputs, expected)

    for case, _, library in libraries(part, roads(), prepare, tmp_path):
        for result in outputs_of(case, library):
            assert_near(result, case.expected)


@pytest.mark.parametrize("part", range(PARTS))
def test_islands_of_integers_are_exact(part: int, tmp_path: Path) -> None:
    """On whole numbers float32 is exact: interpreter, library and onnxruntime have no excuse for one bit."""

    def prepare(model: ir.Model) -> Case:
        inputs = inputs_of(model, whole=True)
        expected = run_as_written(model, inputs)
        canonicalise(model)
        program = lower(model)
        assert_equal(interpreter.run(program, inputs), expected)
        return Case(model, program, inputs, expected)

    for case, _, library in libraries(part, islands(whole=True), prepare, tmp_path):
        for result in outputs_of(case, library):
            assert_equal(result, case.expected)


@st.composite
def mixed(draw: st.DrawFn) -> ir.Model:
    """A canonical model whose integers come from `quantize`, or were put anywhere by hand."""
    by_hand = draw(st.booleans())
    model = draw(islands() if by_hand else roads())
    canonicalise(model)
    return model if by_hand else quantized(model)


@pytest.mark.parametrize("part", range(PARTS))
def test_each_step_is_right_to_its_last_bits(part: int, tmp_path: Path) -> None:
    """Within the bounds of float64 where sums are open, to the bit elsewhere, on every instruction set."""

    def prepare(model: ir.Model) -> Case:
        program = lower(model)
        inputs = inputs_of(model)
        return Case(model, program, inputs, expected_steps(program, inputs))

    for case, records, library in libraries(part, mixed(), prepare, tmp_path):
        given = [np.ascontiguousarray(case.inputs[name]) for name in case.program.inputs]
        wrong = first_wrong(library, records, case.expected, given, case.program.outputs)
        assert wrong is None, f"{wrong.record.name} ({wrong.record.operator}) {wrong}"


@MORE
@given(mixed())
def test_each_integer_step_agrees_with_onnxruntime(model: ir.Model) -> None:
    """Step by step, on onnxruntime's own values: at most one apart.

    Ties may round either way, and bounds like those of Clip make scales in which every element can be a tie.
    Over the whole network a criterion would be loose: one step apart at the beginning can be many at the end.
    """
    inputs = inputs_of(model)
    program = draft_program(model)
    nodes = (node for node in model.graph if not all(x is None or x.is_initializer() for x in node.inputs))
    taps = [str(output.name) for node in nodes for output in node.outputs]
    values = {**inputs, **evaluate(model, inputs, taps=taps)}
    for step in program.steps:
        sources = tuple(name for name in step.reads if name not in program.constants)
        alone = Program(sources, (step.output,), program.buffers, program.constants, (step,))
        result = interpreter.run(alone, {name: values[name] for name in sources})[step.output]
        expected = values.setdefault(step.output, result)
        if result.dtype != np.float32:
            apart = np.abs(result.astype(np.int32) - expected.astype(np.int32))
            assert apart.max() <= 1, step


@MORE
@given(roads(), st.booleans())
def test_fusion_changes_no_bit(model: ir.Model, integers: bool) -> None:
    canonicalise(model)
    model = quantized(model) if integers else model
    inputs = inputs_of(model)
    assert_equal(interpreter.run(lower(model), inputs), interpreter.run(draft_program(model), inputs))


@MORE
@given(roads(mixing=False), st.booleans())
def test_a_batch_of_two_is_two_batches_of_one(model: ir.Model, integers: bool) -> None:
    programs = []
    for batch in (1, 2):
        sized = model.clone()
        shapes = {str(x.name): (batch, *x.shape.numpy()[1:]) for x in model.graph.inputs if x.shape is not None}
        canonicalise(sized, shapes=shapes)
        if batch == 2:
            inputs = inputs_of(sized)
        programs.append(sized)
    if integers:
        ranges = calibrate(programs[1], [inputs])
        programs = [quantize(each, ranges) for each in programs]
    one, two = map(lower, programs)
    together = interpreter.run(two, inputs)
    apart = [interpreter.run(one, {name: array[i : i + 1] for name, array in inputs.items()}) for i in (0, 1)]
    assert_near({name: np.concatenate([part[name] for part in apart]) for name in together}, together)


@MORE
@given(roads(), st.data())
def test_identities_change_nothing(model: ir.Model, data: st.DataObject) -> None:
    inputs = inputs_of(model)
    plain = model.clone()
    for tensor in [*model.graph.inputs, *(node.outputs[0] for node in model.graph)]:
        if tensor.uses() and data.draw(st.booleans()):
            users = list(tensor.uses())
            same = ir.node("Identity", [tensor])
            same.outputs[0].type, same.outputs[0].shape = tensor.type, tensor.shape
            producer = tensor.producer()
            if producer is None:
                model.graph.insert_before(model.graph[0], same)
            else:
                model.graph.insert_after(producer, same)
            for use in users:
                use.node.replace_input_with(use.idx, same.outputs[0])
    for each in (plain, model):
        canonicalise(each)
    assert_equal(interpreter.run(lower(model), inputs), interpreter.run(lower(plain), inputs))
