"""The whole road on random networks: ONNX, canonical, quantized, lowered, fused, compiled. See `tests/roads.py`."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import onnx_ir as ir
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from openwork.backends.cpu import build
from openwork.deploy.library import Library
from openwork.deploy.proof.steps import expected_steps, first_wrong
from openwork.graph import evaluate
from openwork.lowering import Program, interpreter, lower
from openwork.lowering.lower import draft_program
from openwork.passes import canonicalise
from openwork.quantization import calibrate, quantize
from openwork.targets import load_target
from tests.backends.cpu.programs import instruction_sets_here, run_everywhere
from tests.roads import inputs_of, islands, roads, run_as_written

Arrays = dict[str, NDArray[np.generic]]

# The same examples each time; more are tried by raising the number.
SOME = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
MORE = settings(SOME, max_examples=100)  # without compiling


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


@SOME
@given(roads())
def test_float_libraries_agree_with_onnxruntime(model: ir.Model) -> None:
    inputs = inputs_of(model)
    expected = evaluate(model, inputs)
    canonicalise(model)
    for _, result in run_everywhere(lower(model), inputs):
        assert_near(result, expected)


@SOME
@given(islands(whole=True))
def test_islands_of_integers_are_exact(model: ir.Model) -> None:
    """On whole numbers float32 is exact: interpreter, library and onnxruntime have no excuse for one bit."""
    inputs = inputs_of(model, whole=True)
    expected = run_as_written(model, inputs)
    canonicalise(model)
    program = lower(model)
    assert_equal(interpreter.run(program, inputs), expected)
    for _, result in run_everywhere(program, inputs):
        assert_equal(result, expected)


@st.composite
def mixed(draw: st.DrawFn) -> ir.Model:
    """A canonical model whose integers come from `quantize`, or were put anywhere by hand."""
    by_hand = draw(st.booleans())
    model = draw(islands() if by_hand else roads())
    canonicalise(model)
    return model if by_hand else quantized(model)


@SOME
@given(st.one_of(roads(), mixed()))
def test_each_step_is_right_to_its_last_bits(model: ir.Model) -> None:
    """Within the bounds of float64 where sums are open, to the bit elsewhere, on every instruction set."""
    canonicalise(model)
    program = lower(model)
    inputs = inputs_of(model)
    expected = expected_steps(program, inputs)
    given = [np.ascontiguousarray(inputs[name]) for name in program.inputs]
    with TemporaryDirectory() as folder:
        records = build(program, Path(folder), target=load_target("cpu"), threads=2)
        for isa in instruction_sets_here():
            with mock.patch.dict(os.environ, OPENWORK_ISA=isa):
                library = Library(Path(folder), 2)
            wrong = first_wrong(library, records, expected, given, program.outputs)
            library.close()
            assert wrong is None, f"{isa}: {wrong.record.name} ({wrong.record.operator}) {wrong}"


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
