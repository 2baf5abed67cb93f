"""Parts of a tensor that have become constant, though they vary in the reference: a branch that is lost.

No figure about the whole tensor shows it: beside boxes of 0 to 640, scores that are all zero make a cosine distance of
2.4e-6.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import operator_of, static_shape

# Less than this share of a part's own magnitude is no variation.
_VARIATION = 1e-3
# Longer axes are of places rather than of channels.
_LONGEST = 1 << 16


@dataclass(frozen=True)
class ConstantPart:
    """What is always `value`, where the reference lies between `low` and `high`.

    value: None where each index of the part has its own.
    part: which part of the tensor, `input 's'` of a Concat or `4 to 9 of axis 1`; None if it is all of it.
    """

    tensor: str
    part: str | None
    value: float | None
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """JSON has no infinity: null."""
        value = self.value if self.value is not None and isfinite(self.value) else None
        return {"tensor": self.tensor, "part": self.part, "value": value, "low": self.low, "high": self.high}

    def __str__(self) -> str:
        which = "" if self.part is None else f", {self.part}"
        always = "constant" if self.value is None else f"always {self.value:.4g}"
        return f"{self.tensor!r}{which}: {always} instead of {self.low:.4g} to {self.high:.4g}"


@dataclass(frozen=True)
class Joined:
    """What a Concat joins along an axis: name and size of each input."""

    axis: int
    names: tuple[str, ...]
    sizes: tuple[int, ...]

    def parts(self) -> Iterator[tuple[str, slice]]:
        ends = [0, *np.cumsum(self.sizes).tolist()]
        for name, (start, stop) in zip(self.names, pairwise(ends), strict=True):
            yield f"input {name!r}", slice(start, stop)

    def of(self, array: NDArray[Any]) -> Iterator[tuple[str, NDArray[Any]]]:
        """Each part of an array."""
        for name, part in self.parts():
            yield name, array[(slice(None),) * self.axis + (part,)]


def joined(node: ir.Node) -> Joined | None:
    """Of a Concat with static shapes; None of anything else."""
    inputs = [value for value in node.inputs if value is not None]
    if operator_of(node) != "Concat" or any(not (x.shape and x.shape.is_static()) for x in inputs):
        return None
    shapes = [static_shape(value) for value in inputs]
    axis = node.attributes.get_int("axis", 0) % len(shapes[0])
    return Joined(axis, tuple(str(value.name) for value in inputs), tuple(shape[axis] for shape in shapes))


class Watch:
    """Learns from pairs of arrays which parts of a tensor are constant.

    Args:
        joins: what the tensor is made of, if it comes out of a Concat.
        everywhere: whether to look at each index of each axis.
    """

    def __init__(self, tensor: str, joins: Joined | None = None, *, everywhere: bool = False):
        self._tensor = tensor
        self._joins = joins
        self._everywhere = everywhere
        self._seen: dict[int | None, NDArray[np.float64]] = {}  # [low, high of the reference, of the value][index]

    def update(self, reference: NDArray[Any], value: NDArray[Any]) -> None:
        """Two arrays of one shape, always the same but for the first axis of all."""
        if not reference.size:
            return
        axes: list[int | None] = [None]
        if self._everywhere:
            axes += [axis for axis, size in enumerate(reference.shape) if 1 < size <= _LONGEST]
        elif self._joins is not None:
            axes.append(self._joins.axis)
        for axis in axes:
            others = tuple(each for each in range(reference.ndim) if each != axis)
            new = np.array([end(array, axis=others) for array in (reference, value) for end in (np.min, np.max)])
            new = new.astype(np.float64).reshape(4, -1)
            old = self._seen.get(axis, new)
            if old.shape != new.shape:
                continue  # batches of another size: no index means anything along them
            ends = [np.minimum, np.maximum] * 2
            self._seen[axis] = np.array([end(a, b) for end, a, b in zip(ends, old, new, strict=True)])

    def constant(self) -> tuple[ConstantPart, ...]:
        """All of the tensor; else inputs of its Concat; else indices of the axis along which most are constant."""
        if None not in self._seen:
            return ()
        if whole := self._part(None, self._seen[None]):
            return (whole,)
        if self._joins is not None and self._joins.axis in self._seen:
            seen = self._seen[self._joins.axis]
            parts = [
                self._part(name, seen[:, where]) for name, where in self._joins.parts() if where.start < where.stop
            ]
            if found := tuple(part for part in parts if part is not None):
                return found
        return max(
            (self._along(axis, seen) for axis, seen in self._seen.items() if axis is not None), key=len, default=()
        )

    def _along(self, axis: int, seen: NDArray[np.float64]) -> tuple[ConstantPart, ...]:
        lost = np.array([self._part("", each[:, None]) is not None for each in seen.T])
        edges = np.flatnonzero(np.diff(np.r_[False, lost, False])).reshape(-1, 2).tolist()
        found = []
        for start, stop in edges:
            which = f"{start} of axis {axis}" if stop == start + 1 else f"{start} to {stop - 1} of axis {axis}"
            lows, highs, values, _ = seen[:, start:stop]
            value = float(values[0]) if (values == values[0]).all() else None
            found.append(ConstantPart(self._tensor, which, value, float(lows.min()), float(highs.max())))
        return tuple(found)

    def _part(self, name: str | None, seen: NDArray[np.float64]) -> ConstantPart | None:
        low, high, least, most = seen[0].min(), seen[1].max(), seen[2].min(), seen[3].max()
        if least != most or not high - low > _VARIATION * max(abs(low), abs(high)):
            return None
        return ConstantPart(self._tensor, name, float(least), float(low), float(high))


def constant_parts(watches: Sequence[Watch]) -> tuple[ConstantPart, ...]:
    """Those of all."""
    return tuple(part for watch in watches for part in watch.constant())
