"""Products with large weights, some of their results at a time: float64 of all would take many times the memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.lowering import Buffer
from openwork.lowering import steps as lowered
from openwork.lowering.arithmetic import Array, Values

# Elements of a factor that are taken at a time.
AT_ONCE = 1 << 22

Product = lowered.Conv | lowered.FullyConnected | lowered.MatMul


@dataclass(frozen=True)
class Part:
    """A step that computes some results of another: those from `start` on along `axis`.

    values: what it reads, views. buffer: of its results.
    """

    step: Product
    values: Values
    buffer: Buffer
    axis: int
    start: int

    def among(self, places: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Which places in the whole result, of `shape`, are in the part: bool[places]; and where in it those are."""
        size, mine, inner = shape[self.axis], self.buffer.shape[self.axis], prod(shape[self.axis + 1 :])
        outer, along, rest = places // (size * inner), places // inner % size - self.start, places % inner
        here = (along >= 0) & (along < mine)
        return here, ((outer * mine + along) * inner + rest)[here]


def parts(step: Product, values: Values, buffer: Buffer) -> Iterator[Part]:
    """A product of floats as products with parts of its weight, or of the larger factor. Convolutions: no residual."""
    match step:
        case lowered.FullyConnected():
            weight = values[step.weight]
            for rows in _slices(len(weight), weight.size):
                own = {step.input: values[step.input]} | _rows(step, values, rows)
                yield _part(step, own, buffer, len(buffer.shape) - 1, rows)
        case lowered.Conv():
            yield from _of_conv(replace(step, residual=None), values, buffer)
        case lowered.MatMul():
            yield from _of_matmul(step, values, buffer)


def _of_conv(step: lowered.Conv, values: Values, buffer: Buffer) -> Iterator[Part]:
    """Whole groups, some at a time, or channels of one."""
    x, weight = values[step.input], values[step.weight]
    per_group, a_group = weight.shape[1], len(weight) // step.groups
    for groups in _slices(step.groups, weight.size):
        count = groups.stop - groups.start
        seen = {step.input: x[:, groups.start * per_group : groups.stop * per_group]}
        last = weight[groups.start * a_group : groups.stop * a_group].size if count == 1 else 0
        for some in _slices(count * a_group, last):
            rows = slice(groups.start * a_group + some.start, groups.start * a_group + some.stop)
            yield _part(replace(step, groups=count), seen | _rows(step, values, rows), buffer, 1, rows)


def _of_matmul(step: lowered.MatMul, values: Values, buffer: Buffer) -> Iterator[Part]:
    """Rows of the first factor, or columns of the second."""
    first, second = step.inputs
    a, b = values[first], values[second]
    if min(a.ndim, b.ndim) < 2 or first == second:
        yield Part(step, values, buffer, 0, 0)
    elif a.size > b.size:
        for rows in _slices(a.shape[-2], a.size):
            yield _part(step, {first: a[..., rows, :], second: b}, buffer, len(buffer.shape) - 2, rows)
    else:
        for columns in _slices(b.shape[-1], b.size):
            yield _part(step, {first: a, second: b[..., columns]}, buffer, len(buffer.shape) - 1, columns)


def _rows(step: lowered.Conv | lowered.FullyConnected, values: Values, rows: slice) -> dict[str, Array]:
    bias = {} if step.bias is None else {step.bias: values[step.bias].reshape(-1)[rows]}
    return {step.weight: values[step.weight][rows]} | bias


def _part(step: Product, values: Values, buffer: Buffer, axis: int, along: slice) -> Part:
    shape = (*buffer.shape[:axis], along.stop - along.start, *buffer.shape[axis + 1 :])
    return Part(step, values, replace(buffer, shape=shape), axis, along.start)


def _slices(count: int, size: int) -> Iterator[slice]:
    """Of `count` rows with `size` elements together, as many at a time as have about AT_ONCE."""
    step = max(1, AT_ONCE * count // max(size, 1))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))
