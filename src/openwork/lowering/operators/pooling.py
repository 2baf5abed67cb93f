"""Windows that move over images without weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

import onnx_ir as ir

from openwork.lowering.draft import Draft, Unsupported, input_name
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.rule import Operator
from openwork.lowering.steps import AveragePool, MaxPool, Step
from openwork.lowering.windows import Window, window_of


def _max_pool(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """Only the values, not their indices. With 1, 2 or 3 spatial dimensions."""
    if node.attributes.get_int("storage_order", 0):
        raise Unsupported("storage_order is set")
    parts = Composition(node, draft)
    return parts.end(_pooled(parts, input_name(node), _window(node), _largest))


def _average_pool(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """With 1, 2 or 3 spatial dimensions."""
    window = _window(node)
    if not node.attributes.get_int("count_include_pad", 0):
        window = replace(window, given=(0,) * len(window.pads))
    parts = Composition(node, draft)
    return parts.end(_pooled(parts, input_name(node), window, _mean))


def _lp_pool(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """(sum |x|^p)^(1/p) of each window, from the mean of the powers."""
    window, power = _window(node), node.attributes.get_int("p", 2)
    window = replace(window, given=window.pads)  # padding adds nothing, but counts: the sum is what is wanted
    parts = Composition(node, draft)
    powers = parts.binary("pow", parts.unary("abs", input_name(node)), parts.constant(power))
    sums = parts.scaled(_pooled(parts, powers, window, _mean), prod(window.kernel))
    return parts.end(parts.binary("pow", sums, parts.constant(1 / power)))


def _window(node: ir.Node) -> Window:
    return window_of(node, node.attributes["kernel_shape"].as_ints())


def _largest(window: Window, name: str, x: str, y: str) -> MaxPool:
    return MaxPool(name, x, y, window.kernel, window.strides, window.pads, window.dilations)


def _mean(window: Window, name: str, x: str, y: str) -> AveragePool:
    """Padding counts as far as it is given."""
    return AveragePool(name, x, y, window.kernel, window.strides, window.pads, window.dilations, window.given)


def _pooled(parts: Composition, x: str, window: Window, pool: Callable[[Window, str, str, str], Step]) -> str:
    """A pool over 1 or 2 dimensions; over 3 one over the last two, then one over the first.

    The largest of the largest is the largest. A mean of means is the mean, for each is of equally many elements.
    """
    dtype = parts.dtype(x)

    def pooled(x: str, window: Window, *shape: int) -> str:
        return parts.step(lambda name, y: pool(window, name, x, y), shape, dtype)

    images, channels, *sizes = parts.shape(x)
    out = [_steps(window, axis, size) for axis, size in enumerate(sizes)]
    if len(sizes) < 3:
        return pooled(x, window, images, channels, *out)
    if len(sizes) > 3:
        raise Unsupported(f"it has {len(sizes)} spatial dimensions; openwork takes 1, 2 or 3")
    depth, height, width = sizes
    flat, deep = _only(window, (1, 2)), _only(window, (0,))
    deep = Window(
        (*deep.kernel, 1),
        (*deep.strides, 1),
        (deep.pads[0], 0, deep.pads[1], 0),
        (*deep.dilations, 1),
        (deep.given[0], 0, deep.given[1], 0),
    )
    y = parts.reshape(x, images, channels * depth, height, width)
    y = pooled(y, flat, images, channels * depth, *out[1:])
    y = parts.reshape(y, images, channels, depth, out[1] * out[2])
    y = pooled(y, deep, images, channels, out[0], out[1] * out[2])
    return parts.reshape(y, images, channels, *out)


def _steps(window: Window, axis: int, size: int) -> int:
    """How many windows stand along an axis."""
    rank = len(window.kernel)
    reach = window.dilations[axis] * (window.kernel[axis] - 1) + 1
    return (size + window.pads[axis] + window.pads[axis + rank] - reach) // window.strides[axis] + 1


def _only(window: Window, axes: Sequence[int]) -> Window:
    """The window along some of its axes."""
    rank = len(window.kernel)
    both = [*axes, *(axis + rank for axis in axes)]
    return Window(
        tuple(window.kernel[axis] for axis in axes),
        tuple(window.strides[axis] for axis in axes),
        tuple(window.pads[axis] for axis in both),
        tuple(window.dilations[axis] for axis in axes),
        tuple(window.given[axis] for axis in both),
    )


OPERATORS: Mapping[str, Operator] = {
    "AveragePool": Operator(_average_pool),
    "LpPool": Operator(_lp_pool),
    "MaxPool": Operator(_max_pool, ("float32", "int8", "uint8")),
}
