"""Weights in the form kernels read: grouped rows of taps (see struct ow_rows in csrc/cpu/runtime.h)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.layout import VECTOR, round_up

# Elements of a weight that are listed at a time: what that takes is many times as much memory.
_SLAB = 1 << 20


@dataclass(frozen=True, eq=False)
class Taps:
    """The nonzeros of a convolution, for groups of `rows` output channels that share a list.

    depth: runs of input planes that the lists are cut into.
    starts: uint32[depth * groups + 1], the first tap of each list; list d * groups + g is group g in run d. Of int8
        uint32[2 * depth * groups + 1]: each list has two parts, first the taps that are small (see `are_small`).
    plane, ky, kx: int32[taps], which input plane and which place of the kernel each tap reads.
    values: [taps, rows] float32, or [taps, rows, 4] int8; zero where a channel does not use the tap.
    """

    depth: int
    starts: NDArray[np.uint32]
    plane: NDArray[np.int32]
    ky: NDArray[np.int32]
    kx: NDArray[np.int32]
    values: NDArray[np.generic]


def encode_taps(weight: NDArray[np.generic], groups: int, rows: int, run: int | None = None) -> Taps:
    """List the nonzeros of a convolution weight.

    Args:
        weight: [out, in / groups, kh, kw], float32 or int8.
        groups: of the convolution: output channels of group g read input channels of group g.
        rows: output channels that share one list of taps.
        run: input planes that one run of lists covers; None for all of them.
    """
    deep, planes = _planes(weight, groups)
    run = min(run or planes, planes)
    depth = -(-planes // run)
    # Integer kernels always work on four channels: lists of channels that do not exist are empty.
    lists = -(-round_up(len(weight), deep) // rows)
    parts = lists if deep == 1 else 2 * lists
    # Filled slab by slab: twice the lists of a large weight would be as much memory again as the weight.
    count, end = count_taps(weight, groups, rows), 0
    part, plane, ky, kx = np.empty((4, count), np.int32)
    values = np.empty((count, rows, deep), weight.dtype)
    for slab in _slabs(weight, rows):
        found = _encode_slab(slab, weight, groups, rows)
        start, end = end, end + len(found[0])
        for all_taps, those in zip((part, plane, ky, kx, values), found, strict=True):
            all_taps[start:end] = those
    place = plane // run * parts + part
    if depth > 1:
        order = np.argsort(place, kind="stable")
        place, plane, ky, kx, values = (each[order] for each in (place, plane, ky, kx, values))
    starts = np.searchsorted(place, np.arange(depth * parts + 1, dtype=place.dtype)).astype(np.uint32)
    return Taps(depth, starts, plane, ky, kx, values if deep == 4 else values[:, :, 0])


def are_small(values: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Of which taps no pair of products passes 16 bits, whatever the bytes are that are multiplied: bool[taps].

    values: int8[taps, rows, 4]. A pair is of the first two weights of four, or of the last two. The sum of its products
    lies within 255 times the sums of its negative and of its positive weights; 255 * 128 < 2^15.
    """
    first, second = values[..., ::2].astype(np.int16), values[..., 1::2].astype(np.int16)
    low, high = np.minimum(first, 0) + np.minimum(second, 0), np.maximum(first, 0) + np.maximum(second, 0)
    return np.asarray(((low >= -128) & (high <= 128)).all((1, 2)))


def count_taps(weight: NDArray[np.generic], groups: int, rows: int) -> int:
    """How many taps `encode_taps` would list."""
    deep, _ = _planes(weight, groups)
    out, per_group = weight.shape[:2]
    if groups > 1 and (out // groups % rows or per_group % deep):  # a list, or a plane, is of several groups
        return sum(int(_sorted_nonzeros(slab, weight, groups, rows).first.sum()) for slab in _slabs(weight, rows))
    there = weight != 0
    for axis, together in ((0, rows), (1, deep)):
        if together > 1:
            there = np.logical_or.reduceat(there, np.arange(0, there.shape[axis], together), axis)
    return int(np.count_nonzero(there))


@dataclass(frozen=True, eq=False)
class _Nonzeros:
    """Those of a slab, in the order of their taps.

    key: int64, the tap of each: its list, plane and place of the kernel in one number, for arrays of `sizes`.
    first: whether one is the first of its tap.
    row, channel: which of the rows that share the list, and which channel of the plane. value: the number itself.
    """

    sizes: tuple[int, int, int, int]
    key: NDArray[np.int64]
    first: NDArray[np.bool_]
    row: NDArray[np.int64]
    channel: NDArray[np.int64]
    value: NDArray[np.generic]


def _sorted_nonzeros(slab: slice, weight: NDArray[np.generic], groups: int, rows: int) -> _Nonzeros:
    out, per_group, kh, kw = weight.shape
    deep, planes = _planes(weight, groups)
    o, i, ky, kx = np.nonzero(weight[slab])
    value = weight[slab][o, i, ky, kx]
    o += slab.start
    channel = o // (out // groups) * per_group + i
    sizes = (out // rows + 1, planes, kh, kw)
    key = np.ravel_multi_index((o // rows, channel // deep, ky, kx), sizes)
    order = np.argsort(key, kind="stable")  # rows are sorted already: to merge them is quick
    key = key[order]
    return _Nonzeros(sizes, key, np.diff(key, prepend=-1) > 0, (o % rows)[order], (channel % deep)[order], value[order])


def _encode_slab(
    slab: slice, weight: NDArray[np.generic], groups: int, rows: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.generic]]:
    """Of each tap of some output channels: list (of int8: part), plane, ky, kx, and values [taps, rows, deep]."""
    found = _sorted_nonzeros(slab, weight, groups, rows)
    values = np.zeros((np.count_nonzero(found.first), rows, _planes(weight, groups)[0]), weight.dtype)
    values[np.cumsum(found.first) - 1, found.row, found.channel] = found.value
    part, plane, ky, kx = (each.astype(np.int32) for each in np.unravel_index(found.key[found.first], found.sizes))
    if values.shape[2] == 1:
        return part, plane, ky, kx, values
    part = 2 * part + ~are_small(values)
    order = np.argsort(part, kind="stable")
    return part[order], plane[order], ky[order], kx[order], values[order]


def _planes(weight: NDArray[np.generic], groups: int) -> tuple[int, int]:
    """Channels that a plane of the input holds, and how many planes there are."""
    deep = 1 if weight.dtype == np.float32 else 4
    return deep, -(-groups * weight.shape[1] // deep)


def _slabs(weight: NDArray[np.generic], rows: int) -> list[slice]:
    """Output channels of whole lists, some at a time."""
    step = round_up(max(1, _SLAB * len(weight) // max(weight.size, 1)), rows)
    return [slice(start, min(start + step, len(weight))) for start in range(0, len(weight), step)]


@dataclass(frozen=True, eq=False)
class GatherRows:
    """A sparse matrix for kernels that gather: rows padded with zeros to a multiple of 16 taps.

    starts: uint32[out + 1]; offsets: int32[taps], in floats or groups of four bytes; values: [taps] float32,
    or [taps, 4] int8.
    """

    starts: NDArray[np.uint32]
    offsets: NDArray[np.int32]
    values: NDArray[np.generic]


def count_gathered(weight: NDArray[np.generic]) -> int:
    """How many taps `encode_gather` would list, padding included."""
    deep, _ = _planes(weight, 1)
    used = np.logical_or.reduceat(weight != 0, np.arange(0, weight.shape[1], deep), axis=1)
    return int((-(-used.sum(axis=1) // VECTOR) * VECTOR).sum())


def encode_gather(weight: NDArray[np.generic]) -> GatherRows:
    """List the nonzeros of a fully connected weight [out, in], float32 or int8."""
    taps = encode_taps(weight[:, :, None, None], 1, 1)
    lists = taps.starts if weight.dtype == np.float32 else taps.starts[::2]
    first = lists[: len(weight) + 1].astype(np.int64)
    counts = first[1:] - first[:-1]
    padded = (counts + VECTOR - 1) // VECTOR * VECTOR
    starts = np.concatenate(([0], np.cumsum(padded)))
    row = np.repeat(np.arange(len(counts)), counts)
    place = starts[row] + np.arange(len(row)) - lists[row]
    offsets = np.zeros(starts[-1], np.int32)
    offsets[place] = taps.plane
    values = np.zeros((starts[-1], *taps.values.shape[2:]), weight.dtype)
    values[place] = taps.values[:, 0]
    return GatherRows(starts.astype(np.uint32), offsets, values)
