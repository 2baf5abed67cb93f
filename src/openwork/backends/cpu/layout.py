"""Where a buffer's elements lie in memory: plain or planar (see csrc/cpu/runtime.h)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.lowering import AveragePool, Conv, MaxPool, Program

LANE = 4  # bytes
VECTOR = 16  # lanes


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class Plain:
    """Row-major and dense."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """Bytes to reserve; a group of four at the end may be read whole."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize + 4


@dataclass(frozen=True)
class Planes:
    """Images as planes of 32-bit lanes: a float, or four bytes of four neighbouring channels.

    row: lanes from one image row to the next; lead: lanes of padding before and after each plane.
    """

    images: int
    channels: int
    height: int
    width: int
    row: int
    lead: int
    deep: int  # channels a lane: 1 or 4

    @property
    def groups(self) -> int:
        """Planes of one image."""
        return -(-self.channels // self.deep)

    @property
    def planes(self) -> int:
        return self.images * self.groups

    @property
    def vectors(self) -> int:
        """Vectors of 16 lanes that cover all rows of a plane."""
        return -(-self.height * self.row // VECTOR)

    @property
    def stride(self) -> int:
        """Lanes from plane to plane."""
        return VECTOR * self.vectors + self.lead

    @property
    def nbytes(self) -> int:
        return LANE * (self.planes * self.stride + self.lead)

    def inside(self) -> NDArray[np.uint16]:
        """uint16[vectors]: bit i of word v tells whether lane 16 v + i is a pixel."""
        lane = np.arange(VECTOR * self.vectors)
        pixel = (lane % self.row < self.width) & (lane // self.row < self.height)
        return np.packbits(pixel.reshape(-1, 2, 8), axis=-1, bitorder="little").reshape(-1, 2).view("<u2").ravel()


@dataclass(frozen=True)
class Window:
    """Kernel size, strides, pads (top, left, bottom, right) and dilations of a convolution or pooling, in 2-D."""

    kernel: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]

    @property
    def is_same(self) -> bool:
        """Whether each output pixel lies over the input pixel of the same place."""
        reach = [self.dilations[i] * (self.kernel[i] - 1) for i in (0, 1)]
        return self.strides == (1, 1) and all(self.pads[i] + self.pads[i + 2] == reach[i] for i in (0, 1))

    def phases(self) -> list[tuple[int, int]]:
        """The phases (py, px) that taps use: tap t falls on phase t % stride, shifted by t // stride pixels."""
        used = {
            (ky * self.dilations[0] % self.strides[0], kx * self.dilations[1] % self.strides[1])
            for ky in range(self.kernel[0])
            for kx in range(self.kernel[1])
        }
        return sorted(used)

    def shift(self, axis: int) -> int:
        """The largest shift of any tap in phase images, in pixels."""
        return (self.kernel[axis] - 1) * self.dilations[axis] // self.strides[axis]


def image_shape(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """[N, C, L] seen as [N, C, 1, L]; [N, C, H, W] as it is."""
    return (shape[0], shape[1], 1, shape[2]) if len(shape) == 3 else (shape[0], shape[1], shape[2], shape[3])


def window_of(step: Conv | MaxPool | AveragePool, kernel: tuple[int, ...]) -> Window:
    """A step's window; one dimension is seen as an image of one row."""
    if len(kernel) == 1:
        return Window((1, kernel[0]), (1, step.strides[0]), (0, step.pads[0], 0, step.pads[1]), (1, step.dilations[0]))
    return Window(
        (kernel[0], kernel[1]),
        (step.strides[0], step.strides[1]),
        (step.pads[0], step.pads[1], step.pads[2], step.pads[3]),
        (step.dilations[0], step.dilations[1]),
    )


def kernel_of(step: Conv | MaxPool | AveragePool, program: Program) -> tuple[int, ...]:
    """The spatial kernel size of a step."""
    return program.constants[step.weight].shape[2:] if isinstance(step, Conv) else step.kernel


@dataclass(frozen=True)
class Geometry:
    """Gap and lead of images, by their size (height, width): equal sizes are laid out alike, so that
    elementwise steps and 1x1 convolutions pass over them as over one long row."""

    gap: Mapping[tuple[int, int], int]
    reach: Mapping[tuple[int, int], tuple[int, int]]  # rows and pixels that taps reach out of the image

    def planes(self, shape: tuple[int, ...], dtype: str) -> Planes:
        images, channels, height, width = image_shape(shape)
        row = width + self.gap.get((height, width), 0)
        rows, pixels = self.reach.get((height, width), (0, 0))
        deep = 1 if dtype == "float32" else 4
        return Planes(images, channels, height, width, row, round_up(rows * row + pixels, VECTOR), deep)


def geometry_of(program: Program) -> Geometry:
    """Gap and lead that all convolutions and poolings of a program need."""
    gap: dict[tuple[int, int], int] = {}
    reach: dict[tuple[int, int], tuple[int, int]] = {}
    for step in program.steps:
        if not isinstance(step, Conv | MaxPool | AveragePool):
            continue
        window = window_of(step, kernel_of(step, program))
        size = image_shape(program.buffers[step.output].shape)[2:]
        if isinstance(step, Conv) and window.is_same:
            top, left, bottom, right = window.pads
            gap[size] = max(gap.get(size, 0), left, right)
            rows, pixels = reach.get(size, (0, 0))
            reach[size] = (max(rows, top, bottom), max(pixels, left, right))
        else:
            gap[size] = max(gap.get(size, 0), window.shift(1))
    return Geometry(gap, reach)
