"""Operators that take or put elements at places which other tensors name."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import static_shape
from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.functions import BinaryFunction
from openwork.lowering.operators.moving import along, sliced
from openwork.lowering.operators.rule import ANY, Chain, Operator, node_name
from openwork.lowering.steps import Binary, Cast, Concat, Gather, Reduce, Select, Step


def _gather(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """Indices known only at run time that lie outside the axis are taken as the nearest inside."""
    data, indices = input_name(node), input_name(node, 1)
    shape = draft.shape_of(data)
    axis = node.attributes.get_int("axis", 0) % len(shape)
    if indices not in draft.constants:
        return [Gather(node_name(node), (data, indices), output_name(node), axis)]
    places = _inside(draft.constants[indices], shape[axis])
    part = _as_range(places.reshape(-1))
    chain = Chain(node, draft)
    if part is not None:
        return sliced(chain, along(shape, axis, part)).reshape(*static_shape(node.outputs[0])).end()
    return _gathered(chain, draft, axis, places).end()


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


def _gathered(chain: Chain, draft: Draft, axis: int, places: NDArray[np.int64]) -> Chain:
    """Elements at constant places along an axis."""
    indices = draft.add_constant(f"{chain.at}/places", places)
    shape = (*chain.shape[:axis], *places.shape, *chain.shape[axis + 1 :])
    return chain.then(lambda name, x, y: Gather(name, (x, indices), y, axis), shape)


def _gather_elements(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """A Gather from the flattened data: the places along all other axes are known already."""
    shape, indices = draft.shape_of(input_name(node)), input_name(node, 1)
    axis = node.attributes.get_int("axis", 0) % len(shape)
    counts = draft.shape_of(indices)
    strides = _strides(shape)
    others = [np.arange(count) * (0 if at == axis else strides[at]) for at, count in enumerate(counts)]
    beside = np.asarray(sum(np.meshgrid(*others, indexing="ij")), np.int64).reshape(counts)
    if indices in draft.constants:
        places = beside + _inside(draft.constants[indices], shape[axis]) * strides[axis]
        return _gathered(Chain(node, draft).reshape(prod(shape)), draft, 0, places).end()
    path = Chain(node, draft, indices)
    _with_constant(path, draft, "mod", shape[axis])  # those that count from the end
    _with_constant(path, draft, "mul", strides[axis])
    _with_constant(path, draft, "add", beside)
    return _taken(node, draft, path, shape, counts)


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
    inner = shape[axes.stop :]
    if indices in draft.constants:
        within = np.stack([_inside(draft.constants[indices][..., i], size) for i, size in enumerate(sizes)], -1)
        places = first + (within * strides[batch:]).sum(-1)
        chain = _gathered(Chain(node, draft).reshape(flat, *inner), draft, 0, places)
        return chain.reshape(*static_shape(node.outputs[0])).end()
    path = Chain(node, draft, indices)
    _with_constant(path, draft, "mod", sizes)
    _with_constant(path, draft, "mul", strides[batch:])
    path.then(lambda name, x, y: Reduce(name, x, y, (len(counts) - 1,), "sum"), counts[:-1])
    _with_constant(path, draft, "add", first)
    return _taken(node, draft, path, (flat, *inner), (*counts[:-1], *inner), inner=len(inner))


def _taken(
    node: ir.Node, draft: Draft, path: Chain, shape: Sequence[int], result: Sequence[int], inner: int = 0
) -> Sequence[Step]:
    """Elements of the data, its leading axes flattened, at places that a path of steps computes."""
    chain = Chain(node, draft).reshape(prod(shape[: len(shape) - inner]), *shape[len(shape) - inner :])
    places = path.at
    chain.then(lambda name, x, y: Gather(name, (x, places), y, 0), result)
    return [*path.part(), *chain.end()]


def _with_constant(
    path: Chain, draft: Draft, function: BinaryFunction, number: NDArray[np.int64] | int, result: str | None = None
) -> None:
    """Add an elementwise function of the path and a constant of its dtype; `result` is the dtype it gives."""
    other = draft.add_constant(f"{path.at}/{function}", np.array(number, draft.dtype_of(path.at)))
    shape = np.broadcast_shapes(path.shape, np.shape(number))
    path.then(lambda name, x, y: Binary(name, (x, other), y, function), shape, result)


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
    shape = draft.shape_of(input_name(node))
    rows = prod(shape[: len(shape) - len(inner)])
    source = np.arange(rows)
    source[places.reshape(-1)] = rows + np.arange(places.size)
    updates = Chain(node, draft, input_name(node, 2)).reshape(places.size, *inner)
    chain = Chain(node, draft).reshape(rows, *inner)
    more = updates.at
    chain.then(lambda name, x, y: Concat(name, (x, more), y, 0), (rows + places.size, *inner))
    return [*updates.part(), *_gathered(chain, draft, 0, source).reshape(*shape).end()]


def _one_hot(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """The depth must be constant."""
    depth = int(draft.constants[draft.constant_of(node, 1, "depth")].reshape(()))
    shape = static_shape(node.outputs[0])
    axis = node.attributes.get_int("axis", -1) % len(shape)
    column = np.arange(depth).reshape([depth if at == axis else 1 for at in range(len(shape))])
    thin = [1 if at == axis else size for at, size in enumerate(shape)]
    whole = Chain(node, draft)
    if whole.dtype not in ("int32", "int64"):
        whole.then(Cast, whole.shape, "int64")
    whole.reshape(*thin)
    from_begin, from_end = Chain(node, draft, whole.at), Chain(node, draft, whole.at)
    _with_constant(from_begin, draft, "equal", column, "bool")
    _with_constant(from_end, draft, "equal", column - depth, "bool")
    off, on = (Chain(node, draft, input_name(node, 2)) for _ in range(2))
    sliced(off, [range(1)]).reshape()
    sliced(on, [range(1, 2)]).reshape()
    other, values = from_end.at, (on.at, off.at)
    hot = from_begin.then(lambda name, x, y: Binary(name, (x, other), y, "or"), shape)
    hot.then(lambda name, x, y: Select(name, (x, *values), y), shape, draft.dtype_of(values[0]))
    return [*whole.part(), *from_end.part(), *off.part(), *on.part(), *hot.end()]


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
