"""Which tensors share a scale, and the range that it must hold.

Operators that only move elements pass integers on, so that all they read and write has one scale. Where one part of
that is much narrower than the whole, such as scores of 0 to 1 beside boxes of 0 to 640 in a Concat, one scale leaves
nothing of it. There the tensors come apart: what joins keeps the scales of its inputs, and what takes apart reads
reals and gives each part a scale of its own. An operator that computes such a tensor itself, as the last layer of a
detector does, computes it in floats.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import onnx_ir as ir

from openwork.errors import CalibrationError
from openwork.graph import constant, operator_of, static_shape
from openwork.quantization.calibration import Range
from openwork.quantization.integer_operators import (
    Group,
    Site,
    alike,
    integer_sites,
    is_activated,
    known_range,
    sources,
    takes_apart,
)
from openwork.quantization.strategies import Scheme

# A part that the scale of the whole leaves fewer steps than these is flattened: four bits.
_FEWEST_STEPS = 16

# A channel of an output is a part of its own if it has as many elements, and there are no more channels than these.
_FEWEST_ELEMENTS = 16
_MOST_CHANNELS = 256


@dataclass(frozen=True)
class Channel:
    """What a tensor holds at one index of an axis. name: of its range."""

    name: str
    tensor: str
    axis: int
    index: int


@dataclass(frozen=True)
class Sharing:
    """sites: what runs in integers, in graph order; those of `apart` read integers of several scales, or reals.

    ranges: of each group of tensors that share a scale.
    reals: tensors that hold parts of very different width: only what computes reads them through their integers.
    """

    sites: tuple[Site, ...]
    ranges: Mapping[Group, Range]
    apart: frozenset[ir.Node]
    reals: frozenset[ir.Value]


def shared(graph: ir.Graph, ranges: Mapping[str, Range], scheme: Scheme, exclude: Collection[str] = ()) -> Sharing:
    """What shares a scale in a float graph.

    Args:
        ranges: by name, of what `observed_names` names; those of parts may be missing, which then stay together.
        scheme: of activations.
        exclude: as for `integer_sites`.
    Raises: CalibrationError: it takes the range of a tensor that `ranges` does not have.
    """
    every, apart = integer_sites(graph, exclude), frozenset[ir.Node]()
    uneven = _uneven_results(graph, every, ranges, scheme)
    sites = _without(every, uneven, graph, exclude)
    while True:
        found, mixed = _to_part(sites, apart, ranges, scheme)
        if not found and mixed <= uneven:
            break
        apart, uneven = apart | found, uneven | mixed
        sites = _without(every, uneven, graph, exclude)
    apart |= _moving_reals(sites, apart, uneven)
    groups = alike(site for site in sites if site.node not in apart)
    reals = frozenset(uneven.union(*(node.outputs for node in apart)))
    return Sharing(sites, {group: joint_range(group, ranges, apart) for group in groups}, apart, reals)


def observed_names(graph: ir.Graph) -> list[str]:
    """Names of the tensors whose ranges decide what shares a scale, and which."""
    names: dict[str, None] = {}
    sites = integer_sites(graph)
    for group in alike(sites):
        parts = [output for site in _takers(sites, group) for output in site.outputs]
        for tensor in (*sources(group), *parts):
            if known_range(tensor) is None:
                names[str(tensor.name)] = None
    return list(names)


def channels(graph: ir.Graph) -> list[Channel]:
    """Channels of what integer operators compute for outputs, whose ranges decide whether they compute in integers."""
    return [channel for tensor in _results(graph, integer_sites(graph)) for channel in _channels_of(tensor)]


def _results(graph: ir.Graph, sites: tuple[Site, ...]) -> list[ir.Value]:
    """What integer operators compute for outputs, moved or not."""
    computed = {output for site in sites if not site.moves for output in site.outputs}
    outputs = tuple(output for output in graph.outputs if output.dtype == ir.DataType.FLOAT)
    return [tensor for tensor in sources(outputs) if tensor in computed]


def _channels_of(tensor: ir.Value) -> list[Channel]:
    shape = static_shape(tensor) if tensor.shape is not None and tensor.shape.is_static() else ()
    return [
        Channel(f"{tensor.name} [{index} of axis {axis}]", str(tensor.name), axis, index)
        for axis in sorted({1, len(shape) - 1} - {0, -1})
        if axis < len(shape) and 1 < shape[axis] <= _MOST_CHANNELS
        if prod(shape) // shape[axis] >= _FEWEST_ELEMENTS
        for index in range(shape[axis])
    ]


def _uneven_results(
    graph: ir.Graph, sites: tuple[Site, ...], ranges: Mapping[str, Range], scheme: Scheme
) -> set[ir.Value]:
    """Results of which the scale of the whole would flatten a channel."""
    return {
        tensor
        for tensor in _results(graph, sites)
        if any(
            channel.name in ranges and _is_flattened(ranges[channel.name], _range(tensor, ranges), scheme)
            for channel in _channels_of(tensor)
        )
    }


def _without(
    sites: tuple[Site, ...], uneven: Collection[ir.Value], graph: ir.Graph, exclude: Collection[str]
) -> tuple[Site, ...]:
    """One scale for an uneven result would flatten it whatever reads it: its operator computes in floats."""
    names = {str(site.node.name) for site in sites if not site.moves and not set(uneven).isdisjoint(site.outputs)}
    return integer_sites(graph, {*exclude, *names}) if names else sites


def joint_range(group: Group, ranges: Mapping[str, Range], apart: Collection[ir.Node] = ()) -> Range:
    """The range of all that the tensors of a group can hold.

    Args: apart: nodes whose results have ranges of their own.
    Raises: CalibrationError: it takes the range of a tensor that `ranges` does not have.
    """
    lows, highs = zip(*(_range(tensor, ranges) for tensor in sources(group, apart)), strict=True)
    return min(lows), max(highs)


def _range(tensor: ir.Value, ranges: Mapping[str, Range]) -> Range:
    known = known_range(tensor)
    if known is None and tensor.name not in ranges:
        raise CalibrationError(f"tensor {tensor.name!r}: has no range; calibrate this very model")
    return ranges[str(tensor.name)] if known is None else known


def _to_part(
    sites: tuple[Site, ...], apart: frozenset[ir.Node], ranges: Mapping[str, Range], scheme: Scheme
) -> tuple[frozenset[ir.Node], set[ir.Value]]:
    """The nodes at which tensors that still share a scale come apart, and tensors that are uneven in themselves."""
    found: set[ir.Node] = set()
    uneven: set[ir.Value] = set()
    together = tuple(site for site in sites if site.node not in apart)
    for group in alike(together):
        whole = joint_range(group, ranges, apart)
        for site in together:
            if site.moves and operator_of(site.node) == "Concat" and site.outputs[0] in group:
                below = sources(site.inputs, apart)
                if any(_suffers(tensor, _range(tensor, ranges), whole, scheme) for tensor in below):
                    found.add(site.node)
        narrow = [
            (site, ranges[str(part.name)])
            for site in _takers(together, group)
            for part in site.outputs
            if part.name in ranges and _is_flattened(ranges[str(part.name)], whole, scheme)
        ]
        known = [site for site in _takers(together, group) if all(part.name in ranges for part in site.outputs)]
        if narrow:
            found.update(site.node for site in known)
        for site, part in narrow:
            below = sources(site.inputs, apart)
            if all(_is_flattened(part, _range(tensor, ranges), scheme) for tensor in below):
                uneven.update(tensor for tensor in below if constant(tensor) is None)
    return frozenset(found), uneven


def _moving_reals(
    sites: tuple[Site, ...], apart: frozenset[ir.Node], uneven: Collection[ir.Value]
) -> frozenset[ir.Node]:
    """What only moves a tensor that came apart, on its way to an output, a part, or what computes in floats."""
    integer = {site.node for site in sites} - apart
    behind = set(uneven).union(*(node.outputs for node in apart))
    movers = []
    for site in sites:
        if site.moves and site.node in integer and behind.intersection(site.inputs):
            behind.update(site.outputs)
            movers.append(site)
    for site in reversed(movers):
        wanted = (
            each.is_graph_output() or any(use.node not in integer for use in each.uses()) for each in site.outputs
        )
        if any(wanted):
            integer.discard(site.node)
    return frozenset(site.node for site in movers if site.node not in integer)


def _takers(sites: Collection[Site], group: Group) -> Iterator[Site]:
    """What gives parts of a group's tensors."""
    members = set(group)
    return (site for site in sites if takes_apart(site.node) and members.intersection(site.outputs))


def _suffers(tensor: ir.Value, own: Range, whole: Range, scheme: Scheme) -> bool:
    """Whether an input of a Concat loses by the scale of the whole."""
    if _is_flattened(own, whole, scheme):
        return True
    # onnxruntime drops a Relu in front of integers whose lowest stands for zero, and computes it in floats elsewhere.
    lowest = scheme.scale == "affine" and own[0] >= 0 > whole[0]
    return lowest and is_activated(tensor) and -whole[0] * _levels(scheme) > _width(whole) / 2


def _is_flattened(part: Range, whole: Range, scheme: Scheme) -> bool:
    return 0 < _width(part) * _levels(scheme) < _FEWEST_STEPS * _width(whole)


def _levels(scheme: Scheme) -> int:
    return (1 << scheme.bits) - 1


def _width(limits: Range) -> float:
    """Of the interval that holds a range and zero."""
    return max(limits[1], 0.0) - min(limits[0], 0.0)
