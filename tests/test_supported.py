"""docs/supported.md is what the rules say, and what it says is so."""

import re
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from openwork.errors import ModelError, OpenworkError
from openwork.lowering import Dequantize, Quantize, Widths, lower
from openwork.lowering.integers import WIDEST
from openwork.lowering.operators import OPERATORS
from openwork.passes import REWRITTEN, canonicalise
from openwork.quantization import calibrate, quantize, strategy
from openwork.report.supported import BACKENDS, Supported, markdown, onnx_operators, operators_not_taken
from tests.backends.cpu.onnx_nodes import cases, shape_inputs

FLOAT = onnx.TensorProto.FLOAT
WITH_CONSTANTS = (
    *("Conv", "Gemm", "MatMul", "Clip", "Gather", "Pad"),
    *("InstanceNormalization", "LayerNormalization", "RMSNormalization"),
)
NEWEST = 24  # of the opsets that onnxruntime takes, with version 12 of the format
PAGE = Path(__file__).parents[1] / "docs" / "supported.md"


def test_the_committed_page_is_the_one_that_the_rules_give() -> None:
    assert PAGE.read_text(encoding="utf-8") == markdown(), "run `openwork operators --markdown docs/supported.md`"


def test_every_operator_of_onnx_is_somewhere() -> None:
    everywhere = {schema.name for schema in onnx.defs.get_all_schemas() if not schema.domain and not schema.deprecated}
    not_taken = {name for names in operators_not_taken().values() for name in names}
    assert not_taken | set(OPERATORS) | set(REWRITTEN) | {"Constant"} >= everywhere
    assert not not_taken & {*OPERATORS, *REWRITTEN}
    table, _ = PAGE.read_text().split("### What the backends lack")
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == sorted(OPERATORS)


@pytest.mark.parametrize("operator", [each for each in onnx_operators() if each.integers], ids=lambda each: each.name)
def test_what_has_an_integer_form_runs_in_integers(operator: Supported) -> None:
    """Some node case of onnx runs in integers of 8 bits on each backend, and of 16 where the page says so."""
    models = models_of(operator.name)
    assert models, "no case"
    for backend, most in operator.bits.items():
        widths = BACKENDS[backend]
        found = next((model for model in models if computes_on_integers(model, 8, widths)), None)
        assert (found is not None) == (most >= 8), f"8 bits on {backend}"
        assert found is None or computes_on_integers(found, 16, widths) == (most >= 16), f"16 bits on {backend}"


@pytest.mark.parametrize("name", ["Cos", "Div", "LogSoftmax", "PRelu"])
def test_what_has_none_stays_in_floats(name: str) -> None:
    assert not any(computes_on_integers(model, 8, WIDEST) for model in models_of(name))


def models_of(operator: str) -> list[ir.Model]:
    """Cases of one node on float32, with a Relu behind it, for nothing is quantized where elements only move.

    All but the first input is constant where the operator has a weight, bounds or indices.
    """
    found = []
    for case in cases().values():
        nodes, outputs = case.model.graph.node, case.model.graph.output
        inputs = case.model.graph.input
        if [node.op_type for node in nodes] != [operator] or inputs[0].type.tensor_type.elem_type != FLOAT:
            continue
        model = onnx.ModelProto()
        model.CopyFrom(case.model)
        values = dict(zip([value.name for value in inputs], case.data_sets[0][0], strict=False))
        fixed = set(list(values)[1:] if operator in WITH_CONSTANTS else shape_inputs(model.graph))
        for value in [value for value in model.graph.input if value.name in fixed]:
            model.graph.initializer.append(onnx.numpy_helper.from_array(np.asarray(values[value.name]), value.name))
            model.graph.input.remove(value)
        model.opset_import[0].version = min(model.opset_import[0].version, NEWEST)
        model.ir_version = min(model.ir_version, 12)
        if operator == "Pad":
            model.graph.node[0].input[2] = ""  # zeros, which every scale has
        model.graph.node.append(onnx.helper.make_node("Relu", [outputs[0].name], ["positive"], "behind"))
        del model.graph.output[:]
        model.graph.output.append(outputs[0])
        model.graph.output[0].name = "positive"
        graph = ir.from_proto(model)
        with suppress(ModelError):  # dimensions of size zero
            canonicalise(graph)
            found.append(graph)
    return found


def computes_on_integers(model: ir.Model, bits: int, widths: Widths) -> bool:
    """Whether the operator of a case does, once the model is quantized to so many bits."""
    shapes = {str(value.name): [int(size) for size in value.shape or ()] for value in model.graph.inputs}
    data = [{name: np.random.default_rng(0).random(shape, np.float32) for name, shape in shapes.items()}]
    # With a zero point logarithms are defined for all integers; without one products of 16 bits fit into 32.
    chosen = strategy("minmax" if bits == 8 else "symmetry_max", weight_bits=bits, activation_bits=bits)
    try:
        program = lower(quantize(model, calibrate(model, data), chosen), widths)
    except OpenworkError:  # no elements, or a mode that openwork or onnxruntime lacks
        return False
    own = [step for step in program.steps if not isinstance(step, Quantize | Dequantize)]
    dtypes = [program.buffers[step.output].dtype for step in own if not step.name.startswith("behind")]
    return bool(dtypes) and set(dtypes) == {f"int{bits}"}
