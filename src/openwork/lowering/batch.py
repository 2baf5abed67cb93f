"""Whether the first axis of a network is a batch: whether each row of the results is made of that row of the inputs.

Then many rows are the same as a few at a time. It cannot be seen from shapes: a Softmax over the first axis keeps them.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from openwork.lowering.arithmetic import Array
from openwork.lowering.program import Program
from openwork.lowering.steps import (
    Add,
    ArgMax,
    AveragePool,
    Binary,
    Cast,
    Clip,
    Concat,
    Conv,
    Dequantize,
    Expand,
    FixedResize,
    FixedSoftmax,
    FullyConnected,
    Gather,
    GridSample,
    IntegerNormalize,
    IntegerResize,
    IntegerSoftmax,
    Lookup,
    MatMul,
    MaxPool,
    Mean,
    Normalize,
    Pad,
    Quantize,
    QuantizedSoftmax,
    Reduce,
    Rescale,
    Reshape,
    Resize,
    Select,
    Slice,
    Softmax,
    Step,
    TakeAlong,
    TopK,
    Transpose,
    Unary,
)


@dataclass(frozen=True)
class Place:
    """Where the rows of a batch lie in a tensor: on an axis of outer * rows * inner elements, so that row i has those
    whose index is ((o * rows) + i) * inner + k. Both are 1 where the axis is not merged with another."""

    axis: int
    outer: int = 1
    inner: int = 1


Places = frozenset[Place]

_FIRST = Place(0)
_NOWHERE: Places = frozenset()


def batch_of(program: Program) -> int:
    """The size of the first axis of all inputs and outputs, if no row of any output depends on another row of an
    input, and all rows are treated alike; otherwise 0.

    What is not known to keep rows apart is taken to mix them. Where a batch has one row, axes of size 1 may not tell
    which of them it was after a reshape: then one reading under which rows stay apart is enough.
    """
    shapes = [program.buffers[name].shape for name in (*program.inputs, *program.outputs)]
    firsts = {shape[:1] for shape in shapes}
    if not program.inputs or len(firsts) != 1 or () in firsts:
        return 0
    (rows,) = firsts.pop()
    walk = _Walk(program, rows)
    walk.places |= {name: frozenset([_FIRST]) for name in program.inputs}
    for step in program.steps:
        walk.places[step.output] = frozenset(filter(lambda place: walk.fits(step.output, place), walk.behind(step)))
    return rows if all(_FIRST in walk.places.get(name, _NOWHERE) for name in program.outputs) else 0


class _Walk:
    """places: of everything that depends on the inputs; empty where rows were mixed."""

    def __init__(self, program: Program, rows: int):
        self.program, self.rows = program, rows
        self.places: dict[str, Places] = {}

    def shape(self, name: str) -> tuple[int, ...]:
        constants = self.program.constants
        return constants[name].shape if name in constants else self.program.buffers[name].shape

    def fits(self, name: str, place: Place) -> bool:
        shape = self.shape(name)
        return place.axis < len(shape) and shape[place.axis] == place.outer * self.rows * place.inner

    def behind(self, step: Step) -> Places:
        """Where the rows lie in what a step writes."""
        match step:
            case Unary() | Clip() | Cast() | Lookup() | Quantize() | Dequantize() | Rescale():
                return self.places.get(step.input, _NOWHERE)
            case Add() | Binary() | Select():
                return self.together(step.inputs, step.output)
            case Conv():
                y = self.apart_from(step.input, range(1, len(self.shape(step.input))))
                return y if step.residual is None else y & self.places.get(step.residual.inputs[1], _NOWHERE)
            case FullyConnected():
                return self.apart_from(step.input, [len(self.shape(step.input)) - 1])
            case MatMul():
                return self.product(step)
            case MaxPool() | AveragePool():
                return self.apart_from(step.input, range(2, len(self.shape(step.input))))
            case Mean() | Reduce():
                return self.reduced(step.input, step.output, step.axes)
            case TopK():
                return self.apart_from(step.input, [step.axis])
            case TakeAlong():
                return frozenset(each for each in self.together(step.inputs, step.output) if each.axis != step.axis)
            case GridSample():
                return frozenset(each for each in self.together(step.inputs, step.output) if each.axis == 0)
            case ArgMax():
                return self.reduced(step.input, step.output, [step.axis])
            case Softmax() | IntegerSoftmax() | QuantizedSoftmax() | FixedSoftmax():
                return self.apart_from(step.input, [step.axis])
            case Normalize() | IntegerNormalize():
                return self.apart_from(step.input, step.axes) & self.together(step.reads, step.output)
            case Concat():
                return frozenset(each for each in self.together(step.inputs, step.output) if each.axis != step.axis)
            case Transpose():
                perm = step.perm
                return frozenset(
                    replace(place, axis=perm.index(place.axis)) for place in self.places.get(step.input, _NOWHERE)
                )
            case Reshape():
                return frozenset(
                    found for place in self.places.get(step.input, _NOWHERE) for found in self.reshaped(step, place)
                )
            case Slice():
                whole = zip(step.starts, step.steps, self.shape(step.input), self.shape(step.output), strict=True)
                return self.apart_from(step.input, [axis for axis, each in enumerate(whole) if not _is_whole(*each)])
            case Expand():
                return self.together([step.input], step.output)
            case Pad():
                rank = len(self.shape(step.input))
                return self.apart_from(step.input, [axis % rank for axis, pad in enumerate(step.pads) if pad])
            case Gather():
                return self.gathered(step)
            case Resize() | IntegerResize() | FixedResize():
                return self.apart_from(step.input, [each.axis for each in step.axes])

    def apart_from(self, name: str, axes: Collection[int]) -> Places:
        """Of a tensor, unless on axes along which a step mixes elements."""
        return frozenset(place for place in self.places.get(name, _NOWHERE) if place.axis not in axes)

    def together(self, names: Collection[str], output: str) -> Places:
        """Where rows of tensors meet that are broadcast: in all that depend on the inputs at one place, and constants
        are the same for all rows."""
        rank = len(self.shape(output))
        shifted = [
            frozenset(replace(place, axis=place.axis + rank - len(self.shape(name))) for place in self.places[name])
            for name in names
            if name in self.places
        ]
        common = frozenset.intersection(*shifted) if shifted else _NOWHERE
        constants = [self.program.constants[name] for name in names if name in self.program.constants]
        return frozenset(
            place for place in common if all(_same_for_all(array, place, rank, self.rows) for array in constants)
        )

    def product(self, step: MatMul) -> Places:
        """Rows of the first matrices where the second are constant, columns the other way round, else batches."""
        a, b = step.inputs
        rank = len(self.shape(step.output))
        if min(len(self.shape(a)), len(self.shape(b))) < 2:
            return _NOWHERE
        batches = frozenset(place for place in self.together([a, b], step.output) if place.axis < rank - 2)
        if b in self.program.constants and a in self.places:
            at = rank - len(self.shape(a))
            batches |= frozenset(
                replace(place, axis=rank - 2) for place in self.places[a] if place.axis + at == rank - 2
            )
        if a in self.program.constants and b in self.places:
            at = rank - len(self.shape(b))
            batches |= frozenset(
                replace(place, axis=rank - 1) for place in self.places[b] if place.axis + at == rank - 1
            )
        return batches

    def reduced(self, name: str, output: str, axes: Collection[int]) -> Places:
        kept = len(self.shape(output)) == len(self.shape(name))
        return frozenset(
            place if kept else replace(place, axis=place.axis - sum(axis < place.axis for axis in axes))
            for place in self.apart_from(name, axes)
        )

    def gathered(self, step: Gather) -> Places:
        data, indices = step.inputs
        if indices in self.program.constants:
            more = self.program.constants[indices].ndim - 1
            return frozenset(
                replace(place, axis=place.axis + (more if place.axis > step.axis else 0))
                for place in self.apart_from(data, [step.axis])
            )
        if data in self.program.constants:
            return frozenset(
                replace(place, axis=place.axis + step.axis) for place in self.places.get(indices, _NOWHERE)
            )
        return _NOWHERE

    def reshaped(self, step: Reshape, place: Place) -> Iterator[Place]:
        """The axes on which the rows lie that lay `stride` elements apart; those of their own, if there are any."""
        shape = self.shape(step.output)
        stride = place.inner * prod(self.shape(step.input)[place.axis + 1 :])
        found = []
        for axis, size in enumerate(shape):
            inner, rest = divmod(stride, prod(shape[axis + 1 :]))
            if axis not in step.new and not rest and inner and size % (self.rows * inner) == 0:
                found.append(Place(axis, size // (self.rows * inner), inner))
        alone = [each for each in found if each.inner == each.outer == 1]
        yield from alone or found


def _is_whole(start: int, step: int, size: int, count: int) -> bool:
    """Whether a slice takes all elements of an axis in their order."""
    return start == 0 and count == size and (step == 1 or size == 1)


def _same_for_all(array: Array, place: Place, rank: int, rows: int) -> bool:
    """Whether a constant that is broadcast to a rank is the same for all rows."""
    axis = place.axis + array.ndim - rank
    if axis < 0 or array.shape[axis] == 1 or rows == 1:
        return True
    if array.shape[axis] != place.outer * rows * place.inner:
        return False  # joined with other tensors along this axis
    apart = array.reshape(*array.shape[:axis], place.outer, rows, place.inner, *array.shape[axis + 1 :])
    first = np.take(apart, [0], axis + 1)
    return bool((apart == first).all())
