"""Operators that take or put elements at places which other tensors name."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import static_shape
from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.functions import BinaryFunction
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.moving import along, sliced, taken_along
from openwork.lowering.operators.rule import ANY, Operator, node_name
from openwork.lowering.steps import Gather, Select, Step


def _gather(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """Indices known only at run time that lie outside the axis are taken as the nearest inside."""
    data, indices = input_name(node), input_name(node, 1)
    shape = draft.shape_of(data)
    axis = node.attributes.get_int("axis", 0) % len(shape)
    if indices not in draft.constants:
        return [Gather(node_name(node), (data, indices), output_name(node), axis)]
    places = _inside(draft.constants[indices], shape[axis])
    part = _as_range(places.reshape(-1))
    parts = Composition(node, draft)
    if part is not None:
        return parts.end(sliced(parts, data, along(shape, axis, part)), static_shape(node.outputs[0]))
    return parts.end(gathered(parts, data, axis, parts.constant(places)))


def _inside(indices: NDArray[np.generic], size: int) -> NDArray[np.int64]:
    """Constant indices, those that count from the end made positive."""
    places = indices.astype(np.int64)
    if ((places < -size) | (places >= size)).any():
        raise Unsupported(f"its indices lie outside an axis of {size}")
    return np.where(places < 0, places + size, places)


def _as_range(places: NDArray[np.int64]) -> range | None:
    """Evenly spaced places as a range."""
    steps = np.unique(np.diff(places))
    if len(steps) > 1 or not len(places) or (len(steps) == 1 and steps[0] == 0):
        return None
    step = int(steps[0]) if len(steps) else 1
    return range(int(places[0]), int(places[0]) + step * len(places), step)


def gathered(parts: Composition, x: str, axis: int, places: str) -> str:
    """Elements at places along an axis."""
    given = parts.shape(x)
    shape = (*given[:axis], *parts.shape(places), *given[axis + 1 :])
    return parts.step(lambda name, y: Gather(name, (x, places), y, axis), shape, parts.dtype(x))


def _gather_elements(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """Indices known only at run time as those of a Gather. Of the other axes the first elements are meant."""
    x, indices = input_name(node), input_name(node, 1)
    shape, counts = draft.shape_of(x), draft.shape_of(indices)
    axis = node.attributes.get_int("axis", 0) % len(shape)
    parts = Composition(node, draft)
    if indices in draft.constants:
        indices = parts.constant(_inside(draft.constants[indices], shape[axis]))
    ranges = [range(size if at == axis else counts[at]) for at, size in enumerate(shape)]
    return parts.end(taken_along(parts, sliced(parts, x, ranges), axis, indices))


def _gather_nd(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """A Gather from the data whose indexed axes are flattened."""
    shape, indices = draft.shape_of(input_name(node)), input_name(node, 1)
    counts, batch = draft.shape_of(indices), node.attributes.get_int("batch_dims", 0)
    axes = range(batch, batch + counts[-1])
    flat = prod(shape[: axes.stop])
    strides = np.array(_strides(shape[: axes.stop]), np.int64)
    at_batch = np.arange(prod(shape[:batch]), dtype=np.int64) * prod(shape[batch : axes.stop])
    first = at_batch.reshape((*shape[:batch], *[1] * (len(counts) - 1 - batch)))
    sizes = np.array([shape[axis] for axis in axes], np.int64)
    parts = Composition(node, draft)
    if indices in draft.constants:
        within = np.stack([_inside(draft.constants[indices][..., i], size) for i, size in enumerate(sizes)], -1)
        places = parts.constant(first + (within * strides[batch:]).sum(-1))
    else:
        places = _by_constant("mod", indices, sizes, parts)
        places = _by_constant("mul", places, strides[batch:], parts)
        places = parts.reshape(parts.reduce("sum", places, [len(counts) - 1]), *counts[:-1])
        places = _by_constant("add", places, first, parts)
    return parts.end(gathered(parts, parts.reshape(input_name(node), flat, *shape[axes.stop :]), 0, places))


def _by_constant(
    function: BinaryFunction, x: str, number: NDArray[np.int64] | int, parts: Composition, dtype: str | None = None
) -> str:
    """An elementwise function of x and a constant of its dtype; `dtype` is what it gives."""
    return parts.binary(function, x, parts.constant(np.array(number, parts.dtype(x))), dtype)


def _scatter_elements(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """Indices must be constant; not with a reduction."""
    shape = draft.shape_of(input_name(node))
    indices = draft.constants[draft.constant_of(node, 1, "indices")]
    axis = node.attributes.get_int("axis", 0) % len(shape)
    grid: list[NDArray[np.int64]] = [*np.indices(indices.shape)]
    grid[axis] = _inside(indices, shape[axis])
    return _scattered(node, draft, np.asarray(np.ravel_multi_index(tuple(grid), shape)), ())


def _scatter_nd(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """Indices must be constant; not with a reduction."""
    shape = draft.shape_of(input_name(node))
    indices = draft.constants[draft.constant_of(node, 1, "indices")]
    depth = indices.shape[-1]
    within = tuple(_inside(indices[..., i], shape[i]) for i in range(depth))
    return _scattered(node, draft, np.asarray(np.ravel_multi_index(within, shape[:depth])), shape[depth:])


def _scattered(node: ir.Node, draft: Draft, places: NDArray[np.int64], inner: tuple[int, ...]) -> Sequence[Step]:
    """A Gather from data and updates behind one another: what each element of the result is, is known already."""
    if node.attributes.get_string("reduction", "none") != "none":
        raise Unsupported("its updates are reduced")
    parts, x = Composition(node, draft), input_name(node)
    shape = parts.shape(x)
    rows = prod(shape[: len(shape) - len(inner)])
    source = np.arange(rows)
    source[places.reshape(-1)] = rows + np.arange(places.size)
    updates = parts.reshape(input_name(node, 2), places.size, *inner)
    both = parts.concat(parts.reshape(x, rows, *inner), updates, axis=0)
    return parts.end(gathered(parts, both, 0, parts.constant(source)), shape)


def _one_hot(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """The depth must be constant."""
    depth = int(draft.constants[draft.constant_of(node, 1, "depth")].reshape(()))
    shape = static_shape(node.outputs[0])
    axis = node.attributes.get_int("axis", -1) % len(shape)
    column = np.arange(depth).reshape([depth if at == axis else 1 for at in range(len(shape))])
    thin = [1 if at == axis else size for at, size in enumerate(shape)]
    parts, x, values = Composition(node, draft), input_name(node), input_name(node, 2)
    whole = x if parts.dtype(x) in ("int32", "int64") else parts.cast(x, "int64")
    whole = parts.reshape(whole, *thin)
    hot = parts.binary(
        "or",
        _by_constant("equal", whole, column, parts, "bool"),
        _by_constant("equal", whole, column - depth, parts, "bool"),
    )
    off, on = (parts.reshape(sliced(parts, values, [range(at, at + 1)])) for at in range(2))
    return parts.end(parts.select(hot, on, off))


def _trilu(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """The diagonal must be constant."""
    name = draft.optional_constant_of(node, 1, "diagonal k")
    diagonal = 0 if name is None else int(draft.constants[name].reshape(()))
    shape, dtype = draft.shape_of(input_name(node)), draft.dtype_of(input_name(node))
    upper = bool(node.attributes.get_int("upper", 1))
    rows, columns = shape[-2:]
    below = np.tri(rows, columns, diagonal - 1 if upper else diagonal, dtype=np.bool_)
    kept = draft.add_constant(f"{output_name(node)}/kept", ~below if upper else below)
    zero = draft.add_constant(f"{output_name(node)}/zero", np.zeros((), dtype))
    return [Select(node_name(node), (kept, input_name(node), zero), output_name(node))]


def _strides(shape: Sequence[int]) -> list[int]:
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


OPERATORS: Mapping[str, Operator] = {
    "Gather": Operator(_gather, ANY),
    "GatherElements": Operator(_gather_elements, ANY),
    "GatherND": Operator(_gather_nd, ANY),
    "OneHot": Operator(_one_hot, ANY),
    "ScatterElements": Operator(_scatter_elements, ANY),
    "ScatterND": Operator(_scatter_nd, ANY),
    "Trilu": Operator(_trilu, ANY),
}
