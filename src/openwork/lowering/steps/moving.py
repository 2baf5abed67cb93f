"""Steps that move elements and compute nothing: any dtype; integers must be of equal quantization."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from openwork.lowering.arithmetic import Array, Buffer, Values
from openwork.lowering.steps.reads import ReadsInput, ReadsInputs


@dataclass(frozen=True)
class Concat(ReadsInputs):
    """Inputs behind one another along one non-negative axis; all of one dtype, integers of equal quantization."""

    name: str
    inputs: tuple[str, ...]
    output: str
    axis: int

    def compute(self, values: Values, output: Buffer) -> Array:
        return np.concatenate([values[name] for name in self.inputs], axis=self.axis)


@dataclass(frozen=True)
class Transpose(ReadsInput):
    """Axes permuted: output axis i is input axis perm[i]."""

    name: str
    input: str
    output: str
    perm: tuple[int, ...]

    def compute(self, values: Values, output: Buffer) -> Array:
        return values[self.input].transpose(self.perm)


@dataclass(frozen=True)
class Reshape(ReadsInput):
    """The same elements in row-major order under another shape (the output buffer's).

    new: axes of the output, of size 1, that the model names as new: none of them is an axis of the input.
    """

    name: str
    input: str
    output: str
    new: tuple[int, ...] = ()

    def compute(self, values: Values, output: Buffer) -> Array:
        return values[self.input].reshape(output.shape)


@dataclass(frozen=True)
class Slice(ReadsInput):
    """Every steps[i]-th element along axis i from starts[i] on, as many as the output has. Steps may be negative."""

    name: str
    input: str
    output: str
    starts: tuple[int, ...]
    steps: tuple[int, ...]

    def compute(self, values: Values, output: Buffer) -> Array:
        axes = zip(self.starts, self.steps, output.shape, strict=True)
        return values[self.input][np.ix_(*(start + step * np.arange(count) for start, step, count in axes))]


@dataclass(frozen=True)
class Expand(ReadsInput):
    """Dimensions of size 1 repeated to the output's shape, as NumPy broadcasts."""

    name: str
    input: str
    output: str

    def compute(self, values: Values, output: Buffer) -> Array:
        return np.broadcast_to(values[self.input], output.shape)


@dataclass(frozen=True)
class Pad(ReadsInput):
    """The input with elements around it. pads: (begin..., end...) of every axis, none negative.

    value: what `constant` padding is, in the input's dtype (for integers, their zero point stands for 0).
    """

    name: str
    input: str
    output: str
    pads: tuple[int, ...]
    mode: Literal["constant", "edge", "reflect", "wrap"] = "constant"
    value: float = 0

    def compute(self, values: Values, output: Buffer) -> Array:
        x = values[self.input]
        widths = list(zip(self.pads[: x.ndim], self.pads[x.ndim :], strict=True))
        if self.mode == "constant":
            return np.pad(x, widths, constant_values=self.value)
        return np.pad(x, widths, mode=self.mode)


@dataclass(frozen=True)
class Gather(ReadsInputs):
    """Rows of data (inputs[0]) along a non-negative axis, at the places in indices (inputs[1]).

    Indices are int32 or int64, negative ones count from the end; those outside are clamped into the axis, so that
    nothing outside the data is ever read. They may be a constant.
    """

    name: str
    inputs: tuple[str, str]
    output: str
    axis: int

    def compute(self, values: Values, output: Buffer) -> Array:
        data, indices = (values[name] for name in self.inputs)
        size = data.shape[self.axis]
        return np.take(data, _inside(indices, size), self.axis)


@dataclass(frozen=True)
class TakeAlong(ReadsInputs):
    """Of each row along a non-negative axis of data (inputs[0]) the elements at the places in the same row of indices
    (inputs[1]); all other axes have the same size. Indices are as those of a Gather.
    """

    name: str
    inputs: tuple[str, str]
    output: str
    axis: int

    def compute(self, values: Values, output: Buffer) -> Array:
        data, indices = (values[name] for name in self.inputs)
        return np.take_along_axis(data, _inside(indices, data.shape[self.axis]), self.axis)


def _inside(indices: Array, size: int) -> Array:
    return np.clip(np.where(indices < 0, indices + size, indices), 0, size - 1)
