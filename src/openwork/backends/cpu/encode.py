"""Weights in the form kernels read: grouped rows of taps (see struct ow_rows in csrc/cpu/runtime.h)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openwork.backends.cpu.layout import VECTOR, round_up


@dataclass(frozen=True, eq=False)
class Taps:
    """The nonzeros of a convolution, for groups of `rows` output channels that share a list.

    depth: runs of input planes that the lists are cut into.
    starts: uint32[depth * groups + 1], the first tap of each list; list d * groups + g is group g in run d.
    plane, ky, kx: int64[taps], which input plane and which place of the kernel each tap reads.
    values: [taps, rows] float32, or [taps, rows, 4] int8; zero where a channel does not use the tap.
    """

    depth: int
    starts: NDArray[np.uint32]
    plane: NDArray[np.int64]
    ky: NDArray[np.int64]
    kx: NDArray[np.int64]
    values: NDArray[np.generic]


def encode_taps(weight: NDArray[np.generic], groups: int, rows: int, run: int | None = None) -> Taps:
    """List the nonzeros of a convolution weight.

    Args:
        weight: [out, in / groups, kh, kw], float32 or int8.
        groups: of the convolution: output channels of group g read input channels of group g.
        rows: output channels that share one list of taps.
        run: input planes that one run of lists covers; None for all of them.
    """
    out, per_group, kh, kw = weight.shape
    deep = 1 if weight.dtype == np.float32 else 4
    o, i, ky, kx = np.nonzero(weight)
    channel = o // (out // groups) * per_group + i
    planes = round_up(groups * per_group, deep) // deep
    run = min(run or planes, planes)
    # Integer kernels always work on four channels: lists of channels that do not exist are empty.
    lists = -(-round_up(out, deep) // rows)
    sizes = (-(-planes // run), lists, planes, kh, kw)
    plane = channel // deep
    key = np.ravel_multi_index((plane // run, o // rows, plane, ky, kx), sizes)
    taps, which = np.unique(key, return_inverse=True)
    depth, group, tap_plane, tap_ky, tap_kx = np.unravel_index(taps, sizes)
    values = np.zeros((len(taps), rows, deep), weight.dtype)
    values[which, o % rows, channel % deep] = weight[o, i, ky, kx]
    starts = np.searchsorted(depth * lists + group, np.arange(sizes[0] * lists + 1)).astype(np.uint32)
    return Taps(sizes[0], starts, tap_plane, tap_ky, tap_kx, values if deep == 4 else values[:, :, 0])


@dataclass(frozen=True, eq=False)
class GatherRows:
    """A sparse matrix for kernels that gather: rows padded with zeros to a multiple of 16 taps.

    starts: uint32[out + 1]; offsets: int32[taps], in floats or groups of four bytes; values: [taps] float32,
    or [taps, 4] int8.
    """

    starts: NDArray[np.uint32]
    offsets: NDArray[np.int32]
    values: NDArray[np.generic]


def encode_gather(weight: NDArray[np.generic]) -> GatherRows:
    """List the nonzeros of a fully connected weight [out, in], float32 or int8."""
    taps = encode_taps(weight[:, :, None, None], 1, 1)
    first = taps.starts[: len(weight) + 1].astype(np.int64)
    counts = first[1:] - first[:-1]
    padded = (counts + VECTOR - 1) // VECTOR * VECTOR
    starts = np.concatenate(([0], np.cumsum(padded)))
    row = np.repeat(np.arange(len(counts)), counts)
    place = starts[row] + np.arange(len(row)) - taps.starts[row]
    offsets = np.zeros(starts[-1], np.int32)
    offsets[place] = taps.plane
    values = np.zeros((starts[-1], *taps.values.shape[2:]), weight.dtype)
    values[place] = taps.values[:, 0]
    return GatherRows(starts.astype(np.uint32), offsets, values)
