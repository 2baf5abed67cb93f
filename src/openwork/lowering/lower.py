"""Graph to Program: every node becomes one float step, then steps turn to integers and are fused."""

from collections.abc import Sequence

import onnx_ir as ir

from openwork.errors import ModelError, UnsupportedError, UnsupportedNode, one_line
from openwork.graph import OLDEST_OPSET, constant, floats_of, operator_of, rounding_of, static_shape
from openwork.lowering.arithmetic import Buffer
from openwork.lowering.draft import Draft, Unsupported
from openwork.lowering.integers import WIDEST, Widths, use_integers
from openwork.lowering.operators import OPERATORS
from openwork.lowering.program import Program
from openwork.lowering.rewrites import elementwise_first, fold_bias, fuse
from openwork.lowering.steps import Step
from openwork.passes import REWRITTEN

# What a rule raises for a node whose numbers do not fit together: there are more ways than are worth naming.
_CONTRADICTIONS = (IndexError, KeyError, TypeError, ValueError, ArithmeticError)

# What these make follows from the shape of what they read.
_OF_SHAPES = ("Shape", "Size")

# Operators that a canonicalised graph does not have, because passes make others or nothing of them.
_WRITTEN_AWAY = {*REWRITTEN, "Constant", "Dropout", "Identity"}

# Operators that run other graphs: constant conditions are gone when a model is canonical.
_SUBGRAPHS = {
    "If": "its condition is known only at run time",
    "Loop": "it repeats a graph at run time; openwork runs each node once",
    "Scan": "it repeats a graph at run time; openwork runs each node once",
}


def lower(model: ir.Model, widths: Widths = WIDEST) -> Program:
    """Lower a canonicalised graph: static shapes, batch normalization folded, nodes in order and named.

    An operator runs in integers where every activation it reads comes out of a DequantizeLinear and its
    result goes into one QuantizeLinear only, at most through one Relu or Clip; and where its weights are
    symmetric and no accumulator can overflow. Every other operator runs in float32.

    Args:
        widths: how wide integers may be; an operator that needs wider ones runs in float32, with a note.

    Raises:
        UnsupportedError: lists every node that openwork does not take.
        ModelError: the shape of an input is not static, or an output is a constant.
    """
    program = fuse(draft_program(model, widths))
    program.check()
    return program


def draft_program(model: ir.Model, widths: Widths = WIDEST) -> Program:
    """`lower` without fusion: a step for each node, but for what steps on integers took in."""
    draft = _translated(model)
    fold_bias(draft)
    elementwise_first(draft)
    use_integers(draft, widths)
    return draft.program()


def refusals(model: ir.Model) -> Sequence[UnsupportedNode]:
    """Every node of a canonicalised graph that `lower` does not take. Raises: ModelError: as `lower`."""
    try:
        _translated(model)
    except UnsupportedError as error:
        return error.nodes
    return ()


def unknown_operators(model: ir.Model) -> Sequence[UnsupportedNode]:
    """Nodes that `lower` will not take, whatever becomes of the graph: their operators are unknown, and what they read
    depends on the inputs.

    For a graph that cannot be canonicalised, because shapes are missing, say. What follows from shapes alone may yet
    become constant; so may the condition of an If.
    """
    running = {value for value in model.graph.inputs if not value.is_initializer()}
    found = []
    for node in model.graph:
        read = node.inputs[:1] if operator_of(node) == "If" else _reads(node)
        if operator_of(node) in _OF_SHAPES or (read and not running.intersection(read)):
            continue
        running.update(node.outputs)
        known = _known_operator(node) or operator_of(node) in _WRITTEN_AWAY or node.op_identifier() in model.functions
        if not known and any(value.uses() or value.is_graph_output() for value in node.outputs):
            found.append(UnsupportedNode(node.name or "", operator_of(node), _why_unknown(node)))
    return found


def _reads(node: ir.Node) -> Sequence[ir.Value | None]:
    """What a node reads, and what the nodes of its graphs do."""
    graphs = [each.as_graph() for each in node.attributes.values() if each.type == ir.AttributeType.GRAPH]
    return [*node.inputs, *(value for graph in graphs for inner in graph.all_nodes() for value in inner.inputs)]


def _translated(model: ir.Model) -> Draft:
    """Every node as a float step, with Quantize and Dequantize steps where the graph has them."""
    graph = model.graph
    constants = {name: constant(value) for name, value in graph.initializers.items()}
    draft = Draft(
        inputs=tuple(_name(value) for value in graph.inputs),
        outputs=tuple(_name(value) for value in graph.outputs),
        opset=graph.opset_imports.get("", OLDEST_OPSET),
        tensors=frozenset(_name(value) for node in graph for value in node.outputs),
        rounding=rounding_of(model),
        buffers={_name(value): _buffer(value) for value in graph.inputs},
        constants={name: array for name, array in constants.items() if array is not None},
    )
    if floats := floats_of(model):
        draft.notes.append(f"the model is of {', '.join(floats)}; its inputs, outputs and sums are float32")
    unsupported = []
    for node in graph:
        try:
            _translate_sound(node, draft)
        except Unsupported as reason:
            if not (_known_operator(node) and any(map(_open, node.inputs))):  # else an earlier node is to blame
                unsupported.append(UnsupportedNode(node.name or "", operator_of(node), str(reason)))
            draft.buffers |= {_name(value): _buffer(value) for value in node.outputs if _is_known(value)}
    if unsupported:
        raise UnsupportedError(unsupported)
    for name in draft.outputs:
        if name not in draft.buffers:
            raise ModelError(f"output {name!r}: does not depend on any input; remove it from the model")
    return draft


def _translate_sound(node: ir.Node, draft: Draft) -> None:
    """`_translate`. Raises: Unsupported, also where ONNX's shape inference has let pass what cannot be computed."""
    try:
        _translate(node, draft)
    except _CONTRADICTIONS as error:
        raise Unsupported(f"its shapes and attributes contradict each other ({one_line(error)})") from error


def _translate(node: ir.Node, draft: Draft) -> None:
    """Add the step of one node, or its constant result. Raises: Unsupported."""
    if not _known_operator(node):
        raise Unsupported(_why_unknown(node))
    operator = OPERATORS[operator_of(node)]
    outputs = [value for value in node.outputs if value is node.outputs[0] or value.uses() or value.is_graph_output()]
    if len(outputs) > 1 and not operator.many:
        raise Unsupported(f"its output {outputs[1].name!r} is used; openwork takes only the first output")
    activations = [value for value in node.inputs if value is not None and value.name not in draft.constants]
    for value in (*activations, *outputs):
        _check(value, operator.dtypes)
    result = operator.rule(node, draft)
    steps = [] if result is None else list(result) if isinstance(result, Sequence) else [result]
    draft.buffers |= {_name(value): _buffer(value) for value in outputs if _name(value) not in draft.constants}
    if _is_constant(steps, draft):
        for step in steps:
            result_type = draft.buffers.pop(step.output)
            array = step.compute(draft.constants, result_type)
            draft.constants[step.output] = array.astype(result_type.dtype, copy=False)
    else:
        draft.steps += steps


def _is_constant(steps: Sequence[Step], draft: Draft) -> bool:
    """Whether steps read constants only, such as a weight behind a DequantizeLinear that is transposed."""
    made = {step.output for step in steps}
    read = {name for step in steps for name in step.reads}
    return read - made <= draft.constants.keys() and not made & set(draft.outputs)


def _known_operator(node: ir.Node) -> bool:
    return operator_of(node) in OPERATORS


def _why_unknown(node: ir.Node) -> str:
    return _SUBGRAPHS.get(operator_of(node), "openwork does not have this operator")


def _is_known(value: ir.Value) -> bool:
    """Whether a value can be a buffer, for those behind it, though an earlier node cannot be lowered."""
    return not _open(value) and value.shape is not None and min(value.shape.numpy(), default=1) > 0


def _open(value: ir.Value | None) -> bool:
    """Whether shape inference could not tell the type or the shape of a value."""
    return value is not None and (_typeless(value) or value.shape is None or not value.shape.is_static())


def _typeless(value: ir.Value) -> bool:
    return value.dtype in (None, ir.DataType.UNDEFINED)


def _check(value: ir.Value, dtypes: Sequence[str]) -> None:
    try:
        buffer = _buffer(value)
    except ModelError as error:
        raise Unsupported(str(error)) from error
    if buffer.dtype not in dtypes:
        raise Unsupported(f"{value.name!r} is {buffer.dtype}; openwork takes {', '.join(dtypes)} here")


def _buffer(value: ir.Value) -> Buffer:
    if value.dtype is None or _typeless(value):
        raise ModelError(f"value {value.name!r}: its type is unknown; export the model so that its operators tell it")
    shape = static_shape(value)
    if 0 in shape:
        raise ModelError(f"value {value.name!r}: its shape {list(shape)} has no elements; openwork takes at least one")
    return Buffer(shape, str(value.dtype.numpy()))


def _name(value: ir.Value) -> str:
    assert value.name is not None, "a canonicalised graph names every value"
    return value.name
