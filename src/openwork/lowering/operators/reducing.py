"""Operators that look along axes: means, sums, largest elements, softmax."""

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod

import numpy as np
import onnx_ir as ir

from openwork.graph import static_shape
from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.moving import along, padded, sliced, taken_along
from openwork.lowering.operators.rule import FLOAT, NUMBERS, Operator, node_name, rank_of
from openwork.lowering.steps import ArgMax, FullyConnected, Mean, Reduce, Softmax, Step, TopK
from openwork.lowering.steps.reducing import ReduceFunction

# A product with a triangle of more elements than this costs more than its sums are worth.
LONGEST_SUM = 2048


def _axes(node: ir.Node, draft: Draft) -> tuple[int, ...]:
    """An input since opset 18 (always for sums), an attribute before; none at all means every axis, or no reduction."""
    name = draft.optional_constant_of(node, 1, "axes")
    given = node.attributes.get_ints("axes", []) if name is None else draft.constants[name].tolist()
    if not given and node.attributes.get_int("noop_with_empty_axes", 0) == 1:
        return ()
    rank = rank_of(node)
    return tuple(sorted({axis % rank for axis in given}) or range(rank))


def _reduce(function: ReduceFunction, node: ir.Node, draft: Draft) -> Step:
    return Reduce(node_name(node), input_name(node), output_name(node), _axes(node, draft), function)


def _reduce_mean(node: ir.Node, draft: Draft) -> Step | list[Step]:
    """Integers are divided towards zero, as onnxruntime does."""
    x, axes = input_name(node), _axes(node, draft)
    dtype = draft.dtype_of(x)
    if dtype == "float32":
        return Mean(node_name(node), x, output_name(node), axes)
    parts = Composition(node, draft)
    count = parts.constant(np.array(prod(parts.shape(x)[axis] for axis in axes), dtype))
    return parts.end(parts.binary("div", parts.reduce("sum", x, axes), count), static_shape(node.outputs[0]))


def _reduce_l1(node: ir.Node, draft: Draft) -> list[Step]:
    parts = Composition(node, draft)
    sums = parts.reduce("sum", parts.unary("abs", input_name(node)), _axes(node, draft))
    return parts.end(sums, static_shape(node.outputs[0]))


def _reduce_l2(node: ir.Node, draft: Draft) -> list[Step]:
    parts = Composition(node, draft)
    return parts.end(parts.unary("sqrt", _squares(node, parts)), static_shape(node.outputs[0]))


def _reduce_sum_square(node: ir.Node, draft: Draft) -> list[Step]:
    parts = Composition(node, draft)
    return parts.end(_squares(node, parts), static_shape(node.outputs[0]))


def _squares(node: ir.Node, parts: Composition) -> str:
    x = input_name(node)
    return parts.reduce("sum", parts.binary("mul", x, x), _axes(node, parts.draft))


def _reduce_log_sum(node: ir.Node, draft: Draft) -> list[Step]:
    parts = Composition(node, draft)
    sums = parts.reduce("sum", input_name(node), _axes(node, draft))
    return parts.end(parts.unary("log", sums), static_shape(node.outputs[0]))


def _reduce_log_sum_exp(node: ir.Node, draft: Draft) -> list[Step]:
    """max + log(sum(exp(x - max))), so that nothing overflows."""
    parts, axes, x = Composition(node, draft), _axes(node, draft), input_name(node)
    largest = parts.reduce("max", x, axes)
    sums = parts.reduce("sum", parts.unary("exp", parts.binary("sub", x, largest)), axes)
    return parts.end(parts.add(parts.unary("log", sums), largest), static_shape(node.outputs[0]))


def _arg(node: ir.Node, draft: Draft, *, smallest: bool) -> Step:
    axis = node.attributes.get_int("axis", 0) % rank_of(node)
    last = bool(node.attributes.get_int("select_last_index", 0))
    return ArgMax(node_name(node), input_name(node), output_name(node), axis, smallest, last)


def _top_k(node: ir.Node, draft: Draft) -> list[Step]:
    """How many must be constant. They are sorted even where they need not be."""
    k = int(draft.constants[draft.constant_of(node, 1, "number of elements")].item())
    x, shape = input_name(node), list(draft.shape_of(input_name(node)))
    axis = node.attributes.get_int("axis", -1) % len(shape)
    if k > shape[axis]:
        raise Unsupported(f"it takes {k} elements of {shape[axis]}")
    shape[axis] = k
    smallest = not node.attributes.get_int("largest", 1)
    parts = Composition(node, draft)
    places = parts.step(lambda name, y: TopK(name, x, y, axis, smallest), shape, "int64")
    if len(node.outputs) > 1 and (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        parts.copy(places, output_name(node, 1))
    return parts.end(taken_along(parts, x, axis, places))


def _global_average_pool(node: ir.Node, draft: Draft) -> Step:
    return Mean(node_name(node), input_name(node), output_name(node), tuple(range(2, rank_of(node))))


def _global_max_pool(node: ir.Node, draft: Draft) -> Step:
    return Reduce(node_name(node), input_name(node), output_name(node), tuple(range(2, rank_of(node))), "max")


def _softmax(node: ir.Node, draft: Draft, *, logarithm: bool = False) -> Step:
    axis = node.attributes.get_int("axis", -1) % rank_of(node)
    return Softmax(node_name(node), input_name(node), output_name(node), axis, logarithm)


def _hardmax(node: ir.Node, draft: Draft) -> list[Step]:
    """1 at the first largest element along the axis, 0 elsewhere."""
    parts, x = Composition(node, draft), input_name(node)
    axis, shape = node.attributes.get_int("axis", -1) % rank_of(node), parts.shape(x)
    kept = [1 if i == axis else size for i, size in enumerate(shape)]
    largest = parts.step(lambda name, y: ArgMax(name, x, y, axis), kept, "int64")
    places = np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    hits = parts.binary("equal", largest, parts.constant(places), "bool")
    return parts.end(parts.cast(hits, "float32"))


def _cum_sum(node: ir.Node, draft: Draft) -> list[Step]:
    """Floats: a product with a triangle of ones along the axis, which is at most 2048 long."""
    parts, x, rank = Composition(node, draft), input_name(node), rank_of(node)
    axis = int(draft.constants[draft.constant_of(node, 1, "axis")].item()) % rank
    size = parts.shape(x)[axis]
    reverse, exclusive = (bool(node.attributes.get_int(name, 0)) for name in ("reverse", "exclusive"))
    if parts.dtype(x) != "float32":
        return parts.end(_integer_sums(parts, x, axis, reverse=reverse, exclusive=exclusive))
    if size > LONGEST_SUM:
        raise Unsupported(f"its axis has {size} elements; openwork takes at most {LONGEST_SUM}")
    triangle = np.tril(np.ones((size, size), np.float32), -int(exclusive))
    if reverse:
        triangle = triangle[::-1, ::-1]
    order = _exchanged(rank, axis, rank - 1)
    weight, rows = parts.constant(triangle), parts.transpose(x, *order)
    sums = parts.step(lambda name, y: FullyConnected(name, rows, y, weight, None), parts.shape(rows), "float32")
    return parts.end(parts.transpose(sums, *order))


def _integer_sums(parts: Composition, x: str, axis: int, *, reverse: bool, exclusive: bool) -> str:
    """Each element and that before it, then each two and those before them, and so on: whole numbers stay exact."""

    def shifted(x: str, by: int) -> str:
        """Elements `by` places farther on, behind zeros."""
        rest = range(by, size) if reverse else range(size - by)
        pads = [0] * (2 * len(shape))
        pads[axis + (len(shape) if reverse else 0)] = min(by, size)
        return padded(parts, sliced(parts, x, along(shape, axis, rest)), pads)

    shape = parts.shape(x)
    size = shape[axis]
    if exclusive:
        x = shifted(x, 1) if size > 1 else parts.binary("sub", x, x)
    for step in (1 << bit for bit in range((size - 1).bit_length())):
        x = parts.binary("add", x, shifted(x, step))
    return x


def _exchanged(rank: int, a: int, b: int) -> Sequence[int]:
    order = list(range(rank))
    order[a], order[b] = b, a
    return order


LARGEST = (*NUMBERS, "int8", "uint8", "bool")
NUMBERS_AND_BYTES = (*NUMBERS, "int8", "uint8")

OPERATORS: Mapping[str, Operator] = {
    "ArgMax": Operator(partial(_arg, smallest=False), NUMBERS_AND_BYTES),
    "ArgMin": Operator(partial(_arg, smallest=True), NUMBERS_AND_BYTES),
    "CumSum": Operator(_cum_sum, NUMBERS),
    "GlobalAveragePool": Operator(_global_average_pool),
    "GlobalMaxPool": Operator(_global_max_pool),
    "Hardmax": Operator(_hardmax),
    "LogSoftmax": Operator(partial(_softmax, logarithm=True)),
    "ReduceL1": Operator(_reduce_l1, NUMBERS),
    "ReduceL2": Operator(_reduce_l2),
    "ReduceLogSum": Operator(_reduce_log_sum),
    "ReduceLogSumExp": Operator(_reduce_log_sum_exp),
    "ReduceMax": Operator(partial(_reduce, "max"), LARGEST),
    "ReduceMean": Operator(_reduce_mean, NUMBERS),
    "ReduceMin": Operator(partial(_reduce, "min"), LARGEST),
    "ReduceProd": Operator(partial(_reduce, "prod"), NUMBERS),
    "ReduceSum": Operator(partial(_reduce, "sum"), NUMBERS),
    "ReduceSumSquare": Operator(_reduce_sum_square, NUMBERS),
    "Softmax": Operator(_softmax, FLOAT),
    "TopK": Operator(_top_k, NUMBERS_AND_BYTES, many=True),
}
