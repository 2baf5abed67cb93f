"""A plan: which kernel is called on what memory, in order. `steps` builds it step by step, `emit.py` writes it as C."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.layout import LANE, VECTOR, Geometry, Plain, Planes, deep_of, geometry_of, spread, turned
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

    A buffer may lie in memory plain, as planes of images, as planes of tokens, or in several ways: `plain`, `planar`
    and `tokens` convert on first use.
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
    _places: dict[str, list[Place]] = field(default_factory=dict)
    _masks: dict[tuple[int, int, int], Param] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.geometry = geometry_of(self.program)
        for index, name in enumerate(self.program.inputs):
            buffer = self.program.buffers[name]
            self.put(name, Place(Address("input", index), Plain(buffer.shape, buffer.dtype)))

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
        """A plain place for a buffer that the next call writes; the caller's own memory if it is an output, unless it
        is stored in another form or steps read its bytes again, four at a time."""
        buffer = self.program.buffers[name]
        layout = Plain(buffer.shape, buffer.dtype)
        output = self.own_output(name)
        is_own = output is None or buffer.dtype == "int8"
        if is_own or (layout.itemsize == 1 and any(name in step.reads for step in self.program.steps)):
            return self.put(name, Place(self.region(layout.nbytes), layout))
        assert output is not None
        return self.put(name, Place(output, layout))

    def own_output(self, name: str) -> Address | None:
        """The caller's memory for a buffer that is an output: the first, if it is given twice."""
        return Address("output", self.program.outputs.index(name)) if name in self.program.outputs else None

    def new_planar(self, name: str, padding: int = 0) -> Place:
        """A place as images for a buffer that the next call writes, padding included."""
        buffer = self.program.buffers[name]
        return self.new_planes(name, self.geometry.planes(buffer.shape, buffer.dtype), padding)

    def new_planes(self, name: str, layout: Planes, padding: int = 0) -> Place:
        """A place in planes laid out like others for a buffer that the next call writes."""
        layout = replace(layout, deep=deep_of(self.dtype(name)))
        return self.put(name, Place(self.region(layout.nbytes), layout, padding))

    def alias(self, name: str, source: Place) -> None:
        """Let a buffer be the same bytes as a plain place, under the buffer's own shape."""
        buffer = self.program.buffers[name]
        self.put(name, Place(source.address, Plain(buffer.shape, buffer.dtype)))

    def put(self, name: str, place: Place) -> Place:
        """Let a buffer lie in one more place, and no longer in another of the same layout."""
        places = self._places.setdefault(name, [])
        places[:] = [each for each in places if each.layout != place.layout] + [place]
        return place

    def _find(self, name: str, fits: Callable[[Plain | Planes], bool]) -> Place | None:
        return next((place for place in self._places.get(name, ()) if fits(place.layout)), None)

    def is_planar(self, name: str) -> bool:
        """Whether a buffer lies in planes of images already."""
        return self._find(name, _is_image) is not None

    def place(self, name: str) -> Place:
        """Where a buffer lies; where its step left it."""
        return self._places[name][0]

    # ---- reading a buffer in the layout that a step wants ----

    def plain(self, name: str) -> Place:
        """The plain place of a buffer or constant, converted from planes on first use."""
        found = self._find(name, lambda layout: isinstance(layout, Plain))
        if found is None:
            if name in self.program.constants:
                return self._constant(name)
            source = self._places[name][0]
            assert isinstance(source.layout, Planes)
            found = self.new_plain(name)
            if source.layout.is_turned:
                self._turn(found, source, back=True)
            else:
                deep = source.layout.deep == 4
                self._relayout("u8_from_planes" if deep else "f32_from_planes", name, found, source)
        return found

    def planar(self, name: str, padding: int | None = None) -> Place:
        """The place of a buffer or constant as images, converted on first use.

        padding: the zero point that padding lanes must hold; None takes them as they are.
        """
        found = self._find(name, _is_image)
        if found is None or padding not in (None, found.padding):
            layout = self.geometry.planes(self.shape(name), self.dtype(name))
            source = self._rows_of(name, layout) or self.plain(name)
            found = self.put(name, Place(self.region(layout.nbytes), layout, padding or 0))
            if isinstance(source.layout, Planes):
                self.replane(source, found)
            else:
                self._relayout("f32_to_planes" if layout.deep == 1 else "u8_to_planes", name, source, found)
        return found

    def planes_of(self, name: str) -> Place | None:
        """Where a buffer lies in planes of tokens, or of what else is no image; None if it does not."""
        return self._find(name, lambda layout: isinstance(layout, Planes) and not _is_image(layout))

    def tokens_among(self, names: Sequence[str], shape: tuple[int, ...]) -> Planes | None:
        """The layout of the first of some buffers of a shape that lies in planes of tokens; None if all are images."""
        if all(map(self.is_planar, names)):
            return None
        places = (self.planes_of(name) for name in names if self.shape(name) == shape)
        return next((place.layout for place in places if place and isinstance(place.layout, Planes)), None)

    def tokens(self, name: str, batch: int = 0) -> Place:
        """The place of a buffer or constant as tokens, see `turned`, converted on first use.

        Lanes beyond the last token hold anything, and so do bytes of features that are none: nothing is made of them.
        """
        return self.like(name, turned(self.shape(name), self.dtype(name), batch))

    def like(self, name: str, layout: Planes) -> Place:
        """The place of a buffer or constant in planes laid out like others, converted on first use."""
        layout = replace(layout, deep=deep_of(self.dtype(name)))
        found = self._alike(name, layout)
        if found is None or found.layout.nbytes != layout.nbytes:
            source = found or self.plain(name)
            found = self.put(name, Place(self.region(layout.nbytes), layout))
            if isinstance(source.layout, Planes):
                self.replane(source, found)
            elif layout.is_turned:
                self._turn(source, found, back=False)
            else:
                self._relayout("f32_to_planes" if layout.deep == 1 else "u8_to_planes", name, source, found)
        return found

    def _alike(self, name: str, layout: Planes) -> Place | None:
        """Where a buffer lies in the same planes; those of the same padding first."""
        places = [
            place
            for place in self._places.get(name, ())
            if isinstance(place.layout, Planes) and replace(place.layout, lead=layout.lead) == layout
        ]
        return min(places, key=lambda place: place.layout.nbytes != layout.nbytes, default=None)

    def _rows_of(self, name: str, layout: Planes) -> Place | None:
        """Where images lie as planes without gaps, if they do."""
        place = self.planes_of(name)
        if place is None or not isinstance(place.layout, Planes) or place.layout.is_turned:
            return None
        same = place.layout.planes == layout.planes and place.layout.width == layout.height * layout.width
        return place if same else None

    def as_rows(self, name: str) -> Place:
        """Images as planes without gaps, each one long row."""
        source = self.planar(name)
        assert isinstance(source.layout, Planes)
        order = tuple(axis for axis, size in enumerate(self.shape(name)) if size > 1)
        pixels = source.layout.height * source.layout.width
        if source.layout.row == source.layout.width:
            return replace(source, layout=replace(source.layout, height=1, width=pixels, row=pixels, order=order))
        lead = spread(-(-pixels // VECTOR), 0)
        layout = replace(source.layout, height=1, width=pixels, row=pixels, lead=lead, order=order)
        found = self._alike(name, layout)
        if found is None:
            found = self.put(name, Place(self.region(layout.nbytes), layout, source.padding))
            self.replane(source, found)
        return found

    def replane(self, source: Place, target: Place) -> None:
        """Planes of images or tokens into others of other gaps and padding."""
        assert isinstance(target.layout, Planes)
        fields: dict[str, Value] = {"input": self.planes(source), "output": self.planes(target)}
        self.call("x32_replane", fields, target.layout.planes)

    def _turn(self, plain: Place, planar: Place, *, back: bool) -> None:
        """Between plain [images, pixels, channels] and planes."""
        layout = planar.layout
        assert isinstance(layout, Planes)
        size = layout.channels * LANE // layout.deep
        tokens = (plain.address, layout.width, size, layout.width * size)
        planes = (lane0(planar), layout.groups, LANE * layout.stride, LANE * layout.groups * layout.stride)
        source, target = (planes, tokens) if back else (tokens, planes)
        fields: dict[str, Value] = {
            "input": source[0],
            "output": target[0],
            "rows": source[1],
            "columns": target[1],
            "input_row": source[2],
            "output_row": target[2],
            "input_matrix": source[3],
            "output_matrix": target[3],
            "tail": size - LANE * (layout.groups - 1) if back else LANE,
        }
        self.call("x32_transpose", fields, layout.images * -(-source[1] // VECTOR))

    def _constant(self, name: str) -> Place:
        """A constant that is an operand is read where it lies, in deploy.params."""
        data = self.program.constants[name]
        place = Place(Address("param", self.param(stored_bytes(data)).index), Plain(data.shape, str(data.dtype)))
        return self.put(name, place)

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


def _is_image(layout: Plain | Planes) -> bool:
    return isinstance(layout, Planes) and not layout.order


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
