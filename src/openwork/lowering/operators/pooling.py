"""Windows that move over images without weights."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod

import numpy as np
import onnx_ir as ir

from openwork.lowering.draft import Draft, Unsupported
from openwork.lowering.operators.rule import Chain, Operator
from openwork.lowering.steps import AveragePool, Binary, MaxPool, Step, Unary
from openwork.lowering.windows import Window, window_of


def _max_pool(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """Only the values, not their indices. With 1, 2 or 3 spatial dimensions."""
    if node.attributes.get_int("storage_order", 0):
        raise Unsupported("storage_order is set")
    return _pooled(Chain(node, draft), _window(node), _largest).end()


def _average_pool(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """With 1, 2 or 3 spatial dimensions."""
    window = _window(node)
    if not node.attributes.get_int("count_include_pad", 0):
        window = replace(window, given=(0,) * len(window.pads))
    return _pooled(Chain(node, draft), window, _mean).end()


def _lp_pool(node: ir.Node, draft: Draft) -> Sequence[Step]:
    """(sum |x|^p)^(1/p) of each window, from the mean of the powers."""
    window, power = _window(node), node.attributes.get_int("p", 2)
    window = replace(window, given=window.pads)  # padding adds nothing, but counts: the sum is what is wanted
    chain = Chain(node, draft)
    chain.then(lambda name, x, y: Unary(name, x, y, "abs"), chain.shape)
    _with_constant(chain, draft, "pow", power)
    _pooled(chain, window, _mean)
    _with_constant(chain, draft, "mul", prod(window.kernel))
    return _with_constant(chain, draft, "pow", 1 / power).end()


def _with_constant(chain: Chain, draft: Draft, function: str, number: float) -> Chain:
    other = draft.add_constant(f"{chain.at}/{function}", np.array(number, np.float32))
    return chain.then(lambda name, x, y: Binary(name, (x, other), y, function), chain.shape)  # type: ignore[arg-type]


def _window(node: ir.Node) -> Window:
    return window_of(node, node.attributes["kernel_shape"].as_ints())


def _largest(window: Window, name: str, x: str, y: str) -> MaxPool:
    return MaxPool(name, x, y, window.kernel, window.strides, window.pads, window.dilations)


def _mean(window: Window, name: str, x: str, y: str) -> AveragePool:
    """Padding counts as far as it is given."""
    return AveragePool(name, x, y, window.kernel, window.strides, window.pads, window.dilations, window.given)


def _pooled(chain: Chain, window: Window, pool: Callable[[Window, str, str, str], Step]) -> Chain:
    """A pool over 1 or 2 dimensions; over 3 one over the last two, then one over the first.

    The largest of the largest is the largest. A mean of means is the mean, for each is of equally many elements.
    """
    images, channels, *sizes = chain.shape
    out = [_steps(window, axis, size) for axis, size in enumerate(sizes)]
    if len(sizes) < 3:
        return chain.then(lambda name, x, y: pool(window, name, x, y), (images, channels, *out))
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
    chain.reshape(images, channels * depth, height, width)
    chain.then(lambda name, x, y: pool(flat, name, x, y), (images, channels * depth, *out[1:]))
    chain.reshape(images, channels, depth, out[1] * out[2])
    chain.then(lambda name, x, y: pool(deep, name, x, y), (images, channels, out[0], out[1] * out[2]))
    return chain.reshape(images, channels, *out)


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
