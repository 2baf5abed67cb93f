"""A plan: which kernel is called on what memory, in order. `steps` builds it step by step, `emit.py` writes it as C."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.layout import LANE, Geometry, Plain, Planes, geometry_of
from openwork.errors import BuildError
from openwork.lowering import Program


@dataclass(frozen=True)
class Address:
    """A place in memory: `offset` bytes into region `index` of the arena, the caller's input or output `index`, or
    tensor `index` of deploy.params."""

    space: Literal["arena", "input", "output", "param"]
    index: int
    offset: int = 0


@dataclass(frozen=True)
class Param:
    """Tensor `index` of deploy.params."""

    index: int


Value = int | float | Address | Param | None | Sequence["Value"] | Mapping[str, "Value"]


@dataclass(frozen=True)
class Call:
    """One call of a kernel: the fields of its step descriptor, and its number of work items."""

    kernel: str
    fields: Mapping[str, Value]
    items: int
    step: int


@dataclass(frozen=True)
class Place:
    """Where a buffer lies: the first byte of its region, how its elements are laid out there, and what padding
    lanes hold (one byte; 0 for floats)."""

    address: Address
    layout: Plain | Planes
    padding: int = 0


@dataclass(frozen=True, eq=False)
class Tensor:
    """An entry of deploy.params. fixed: its size follows from the network alone, not from the nonzeros."""

    data: NDArray[np.generic]
    fixed: bool


@dataclass
class Region:
    """A piece of the arena: its size and the first and last call that use it."""

    nbytes: int
    first: int
    last: int


@dataclass
class Plan:
    """Calls, parameters and memory of one network; grows while steps are planned.

    A buffer may lie in memory plain, planar, or both: `plain` and `planar` convert on first use.
    results: where the result of each step lies as soon as the step is done.
    """

    program: Program
    threads: int
    geometry: Geometry = field(init=False)
    calls: list[Call] = field(default_factory=list)
    params: list[Tensor] = field(default_factory=list)
    regions: list[Region] = field(default_factory=list)
    results: list[Place] = field(default_factory=list)
    step: int = 0
    _places: dict[tuple[str, type], Place] = field(default_factory=dict)
    _masks: dict[tuple[int, int, int], Param] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.geometry = geometry_of(self.program)
        for index, name in enumerate(self.program.inputs):
            buffer = self.program.buffers[name]
            self._places[name, Plain] = Place(Address("input", index), Plain(buffer.shape, buffer.dtype))

    def dtype(self, name: str) -> str:
        """The dtype of a buffer or constant."""
        constant = self.program.constants.get(name)
        return self.program.buffers[name].dtype if constant is None else str(constant.dtype)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of a buffer or constant."""
        constant = self.program.constants.get(name)
        return self.program.buffers[name].shape if constant is None else constant.shape

    # ---- memory ----

    def region(self, nbytes: int) -> Address:
        """A new region of the arena, alive from the next call on."""
        self.regions.append(Region(nbytes, len(self.calls), len(self.calls)))
        return Address("arena", len(self.regions) - 1)

    def param(self, data: NDArray[np.generic], *, fixed: bool = True) -> Param:
        """A tensor of deploy.params."""
        self.params.append(Tensor(np.ascontiguousarray(data), fixed))
        return Param(len(self.params) - 1)

    def new_plain(self, name: str) -> Place:
        """A plain place for a buffer that the next call writes; the caller's own memory if it is an output."""
        buffer = self.program.buffers[name]
        layout = Plain(buffer.shape, buffer.dtype)
        if name in self.program.outputs and buffer.dtype != "int8":
            place = Place(Address("output", self.program.outputs.index(name)), layout)
        else:
            place = Place(self.region(layout.nbytes), layout)
        self._places[name, Plain] = place
        return place

    def new_planar(self, name: str, padding: int = 0) -> Place:
        """A planar place for a buffer that the next call writes, padding included."""
        buffer = self.program.buffers[name]
        layout = self.geometry.planes(buffer.shape, buffer.dtype)
        place = Place(self.region(layout.nbytes), layout, padding)
        self._places[name, Planes] = place
        return place

    def alias(self, name: str, source: Place) -> None:
        """Let a buffer be the same bytes as a plain place, under the buffer's own shape."""
        buffer = self.program.buffers[name]
        self._places[name, Plain] = Place(source.address, Plain(buffer.shape, buffer.dtype))

    def alias_planes(self, name: str, place: Place) -> None:
        """Let a buffer be the same bytes as a planar place."""
        self._places[name, Planes] = place

    def is_planar(self, name: str) -> bool:
        """Whether a buffer lies in planes already."""
        return (name, Planes) in self._places

    def place(self, name: str) -> Place:
        """Where a buffer lies; planes first."""
        return self._places.get((name, Planes)) or self._places[name, Plain]

    # ---- reading a buffer in the layout that a step wants ----

    def plain(self, name: str) -> Place:
        """The plain place of a buffer or constant, converted from planes on first use."""
        if (name, Plain) not in self._places:
            if name in self.program.constants:
                return self._constant(name)
            source = self._places[name, Planes]
            target = self.new_plain(name)
            deep = isinstance(source.layout, Planes) and source.layout.deep == 4
            self._relayout("u8_from_planes" if deep else "f32_from_planes", name, target, source)
        return self._places[name, Plain]

    def planar(self, name: str, padding: int | None = None) -> Place:
        """The planar place of a buffer or constant, converted from plain on first use.

        padding: the zero point that padding lanes must hold; None takes them as they are.
        """
        found = self._places.get((name, Planes))
        if found is None or padding not in (None, found.padding):
            source = self.plain(name)
            assert isinstance(source.layout, Plain)
            layout = self.geometry.planes(source.layout.shape, source.layout.dtype)
            found = Place(self.region(layout.nbytes), layout, padding or 0)
            self._places[name, Planes] = found
            self._relayout("f32_to_planes" if layout.deep == 1 else "u8_to_planes", name, source, found)
        return found

    def _constant(self, name: str) -> Place:
        """A constant that is an operand is read where it lies, in deploy.params."""
        data = self.program.constants[name]
        place = Place(Address("param", self.param(stored_bytes(data)).index), Plain(data.shape, str(data.dtype)))
        self._places[name, Plain] = place
        return place

    def _relayout(self, kernel: str, name: str, plain: Place, planar: Place) -> None:
        layout = planar.layout
        assert isinstance(plain.layout, Plain) and isinstance(layout, Planes)
        if plain.layout.dtype not in ("float32", "uint8", "int8"):
            raise BuildError(f"tensor {name!r}: images of {plain.layout.dtype} have no kernels; use float32 or int8")
        fields: dict[str, Value] = {
            "plain_input" if kernel.endswith("to_planes") else "plain_output": plain.address,
            "planes": self.planes(planar),
            "images": layout.images,
            "channels": layout.channels,
        }
        self.call(kernel, fields, layout.planes)

    # ---- calls ----

    def call(self, kernel: str, fields: Mapping[str, Value], items: int) -> None:
        """Append a call; every arena region it names lives at least until then."""
        for address in _addresses(fields):
            if address.space == "arena":
                self.regions[address.index].last = len(self.calls)
        self.calls.append(Call(kernel, fields, items, self.step))

    def planes(self, place: Place) -> dict[str, Value]:
        """The struct ow_planes of a planar place."""
        layout = place.layout
        assert isinstance(layout, Planes)
        key = (layout.height, layout.width, layout.row)
        if key not in self._masks:
            self._masks[key] = self.param(layout.inside())
        return {
            "at": lane0(place),
            "planes": layout.planes,
            "stride": layout.stride,
            "lead": layout.lead,
            "vectors": layout.vectors,
            "row": layout.row,
            "height": layout.height,
            "width": layout.width,
            "padding": padding_word(place.padding),
            "inside": self._masks[key],
        }


def _addresses(value: Value) -> list[Address]:
    if isinstance(value, Address):
        return [value]
    if isinstance(value, Mapping):
        return [address for part in value.values() for address in _addresses(part)]
    if isinstance(value, Sequence):
        return [address for part in value for address in _addresses(part)]
    return []


def lane0(place: Place) -> Address:
    """Lane 0 of plane 0 of a planar place."""
    assert isinstance(place.layout, Planes)
    at = place.address
    return Address(at.space, at.index, at.offset + LANE * place.layout.lead)


def padding_word(zero_point: int) -> int:
    """A zero point in each byte of a lane."""
    return zero_point * 0x01010101


def stored_zero_point(zero_point: int, dtype: str) -> int:
    """int8 is stored 128 higher, as uint8."""
    return zero_point + 128 if dtype == "int8" else zero_point


def stored_bytes(data: NDArray[np.generic]) -> NDArray[np.generic]:
    """int8 128 higher; all else as it is."""
    return (data.view(np.uint8) ^ 0x80) if data.dtype == np.int8 else data
