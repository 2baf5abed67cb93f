"""Which operators openwork takes, gathered from the rules themselves."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import onnx.defs
from onnx.defs import OpSchema

from openwork.backends.cpu import WIDTHS
from openwork.backends.cpu.copying import MOST_AXES
from openwork.graph import NEWEST_OPSET
from openwork.lowering import Widths
from openwork.lowering.integers import WIDEST
from openwork.lowering.operators import OPERATORS
from openwork.passes import REWRITTEN, Pass
from openwork.quantization import IntegerForm, integer_form

# What each backend computes with.
BACKENDS: Mapping[str, Widths] = {"interpreter": WIDEST, "cpu": WIDTHS}

# Of operators that move elements these compare them, which the CPU does as it computes.
_COMPARING = ("GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin")
# And of those that compute these have their forms for bytes only.
_OF_BYTES = ("InstanceNormalization", "LayerNormalization", "RMSNormalization", "Softmax")
_TABLE_BITS = 8  # a table has as many entries as there are integers
_WIDEST_MOVED = 16


@dataclass(frozen=True)
class Taken:
    """An operator that a model file may have.

    note: what there is to know of it, or what is not taken.
    """

    name: str
    note: str


@dataclass(frozen=True)
class Supported(Taken):
    """An operator of ONNX.

    dtypes: that its activations may have. integers: how it runs once it is quantized, None if it stays in floats.
    bits: backend to the widest integers it then computes with.
    """

    dtypes: tuple[str, ...]
    integers: IntegerForm | None
    bits: Mapping[str, int]


def onnx_operators() -> list[Supported]:
    """Every operator of ONNX that has a rule, by name."""
    found = []
    for name, operator in sorted(OPERATORS.items()):
        form = integer_form(name)
        bits = {} if form is None else {backend: _bits(name, form, widths) for backend, widths in BACKENDS.items()}
        notes = [_note(operator.rule)]
        if not operator.many and onnx.defs.get_schema(name).max_output > 1:
            notes.append("Only its first output.")
        found.append(Supported(name, " ".join(filter(None, notes)), tuple(operator.dtypes), form, bits))
    return found


def tflite_operators() -> list[Taken]:
    """Every operator of TensorFlow Lite that has a rule, by name."""
    from openwork.frontends.tflite.operators import OPERATORS as RULES  # the schema is some 200 modules

    return [Taken(name, _note(rule)) for name, rule in sorted(RULES.items())]


def torchscript_operators() -> list[Taken]:
    """Every operator of traced TorchScript that has a rule, by name. Imports torch."""
    from openwork.frontends.torchscript.operators import OPERATORS as RULES

    return [Taken(name, _note(rule)) for name, rule in sorted(RULES.items())]


def operators_not_taken() -> dict[str, list[str]]:
    """The other operators of ONNX by the reason, as their schemas give it."""
    reasons: dict[str, list[str]] = {}
    for schema in sorted(onnx.defs.get_all_schemas(), key=lambda schema: schema.name):
        if schema.domain == "" and not schema.deprecated and schema.name not in {*OPERATORS, *REWRITTEN, "Constant"}:
            reasons.setdefault(_reason(schema), []).append(schema.name)
    return dict(sorted(reasons.items()))


def _reason(schema: OpSchema) -> str:
    if any(each.type in (OpSchema.AttrType.GRAPH, OpSchema.AttrType.GRAPHS) for each in schema.attributes.values()):
        return "it runs graphs of its own; a Program is one list of steps"
    types = [set(each.types) for each in (*schema.inputs, *schema.outputs)]
    if any(all(not name.startswith("tensor") for name in each) for each in types):
        return "sequences, optional values and maps are no tensors"
    if any(each == {"tensor(string)"} for each in types):
        return "strings are no numbers"
    if "seed" in schema.attributes:
        return "it gives random numbers; results must be repeatable"
    return "it has no rule yet; it is taken where all its inputs are constant"


def _bits(name: str, form: IntegerForm, widths: Widths) -> int:
    if form == "moved" and name not in _COMPARING:
        return _WIDEST_MOVED
    return _TABLE_BITS if form == "looked up" or name in _OF_BYTES else widths.activations


def _note(rule: Callable[..., Any]) -> str:
    """The docstring of a rule, which says what it does not take."""
    while isinstance(rule, partial):
        rule = rule.func
    return " ".join((rule.__doc__ or "").split())


_PAGE = """\
# Operators

*Written by `openwork operators --markdown docs/supported.md` from the rules themselves; a test holds it to them.*

## ONNX

Opsets 7 to {newest}; {count} operators. *Types* are those that activations may have. On the interpreter and on the CPU
every operator below runs in each of them, floats as float32. *Integers* tells what becomes of an operator when
`openwork quantize` has put QuantizeLinear and DequantizeLinear around it:

- **weighted**: sums of products with a constant weight, whose zeros are left out; of MatMul also the product of two
  activations,
- **computed**: other arithmetic on integers,
- **looked up**: a table with the result for each of the {entries} integers, if all have one: Log and Sqrt need a
  strategy with zero points (`int8`, `minmax`),
- **moved**: integers are moved, or chosen, as they are,
- no entry: it computes in float32, between a DequantizeLinear and a QuantizeLinear.

Models that come with integers (Q/DQ, QOperator, TensorFlow Lite, quantized TorchScript) use the same forms wherever
they have a DequantizeLinear in front and a QuantizeLinear behind; there, every other function of one activation is
looked up too.

| operator | types | integers | notes |
|---|---|---|---|
{operators}

### What the backends lack

| backend | activations | weights | accumulators | wider integers |
|---|---|---|---|---|
{backends}

The interpreter is the reference: it lacks nothing of the above. {narrower}
`openwork compile` tells every such layer with the reason; so it does where an accumulator could overflow. Kernels of
the CPU take tensors of up to {axes} dimensions, after neighbouring ones that move together have become one.

### Written as other operators first

Passes do this before lowering. Constants are folded too: of an operator whose inputs are all constant only the result
is left, whatever the operator.

| operators | pass | what it does |
|---|---|---|
{rewritten}

### Not taken

Operators of ONNX that have no entry above. The error of a model that has one names the node and its operator.

| reason | operators |
|---|---|
{others}

## TensorFlow Lite

Each becomes operators of ONNX, with the scales and zero points of the file; {tflite_count} operators.

{tflite}

## TorchScript

Traced, in floats or quantized by `torch.ao.quantization`; {torch_count} operators, beside what tracing leaves of
Python.

{torch}
"""

_ALL_TYPES = ("float32", "int32", "int64", "bool", "int8", "uint8", "int16", "uint16")


def markdown() -> str:
    """The page docs/supported.md. Imports torch, for the list of its operators."""
    supported, tflite, torch = onnx_operators(), tflite_operators(), torchscript_operators()
    narrow = [name for name, widths in BACKENDS.items() if widths != WIDEST]
    return _PAGE.format(
        newest=NEWEST_OPSET,
        count=len(supported),
        entries=2**_TABLE_BITS,
        operators=_rows([f"`{each.name}`", _types(each.dtypes), form_text(each), each.note] for each in supported),
        backends=_rows(map(_backend, BACKENDS, BACKENDS.values())),
        narrower=" ".join(
            f"On `{name}` a layer with integers of more than {BACKENDS[name].activations} bits computes in float32,\n"
            "because there are no kernels for them; such integers are only moved, quantized and dequantized."
            for name in narrow
        ),
        axes=MOST_AXES,
        rewritten=_rows(_rewritten()),
        others=_rows([reason, _listed(names)] for reason, names in operators_not_taken().items()),
        tflite_count=len(tflite),
        tflite=_listed(each.name for each in tflite),
        torch_count=len(torch),
        torch=_listed(each.name for each in torch),
    )


def form_text(operator: Supported) -> str:
    """`computed, 16 bits; cpu 8`: the form and the widest integers, those of backends that differ last."""
    if operator.integers is None:
        return ""
    widest = max(operator.bits.values())
    others = "".join(f"; {name} {bits}" for name, bits in operator.bits.items() if bits != widest)
    return f"{operator.integers}, {widest} bits{others}"


def _backend(name: str, widths: Widths) -> list[str]:
    bits = [f"{each} bits" for each in (widths.activations, widths.weights, widths.accumulator)]
    return [f"`{name}`", *bits, "refused" if widths == WIDEST else "computed in float32"]


def _rewritten() -> list[list[str]]:
    """A row for each pass."""
    by_pass: dict[Pass, list[str]] = {}
    for name, passes in REWRITTEN.items():
        for each in passes:
            by_pass.setdefault(each, []).append(name)
    return [[_listed(names), f"`{each.__name__}`", _first_line(each)] for each, names in by_pass.items()]


def _types(dtypes: Sequence[str]) -> str:
    return "all" if set(dtypes) == set(_ALL_TYPES) else ", ".join(dtypes)


def _first_line(rewrite: Pass) -> str:
    return (rewrite.__doc__ or "").splitlines()[0]


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
