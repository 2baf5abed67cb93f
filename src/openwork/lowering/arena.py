"""Where buffers lie in one block of memory, so that memory is used again once a buffer is dead."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Arena:
    """A plan: buffer i occupies bytes offsets[i] up to offsets[i] + its size, out of `size` bytes in all."""

    offsets: tuple[int, ...]
    size: int


def plan_arena(lifetimes: Sequence[tuple[int, int]], sizes: Sequence[int], *, alignment: int = 64) -> Arena:
    """Place buffers so that no two that are alive at the same step overlap: best fit, largest buffer first.

    Args:
        lifetimes: for each buffer the first and the last step, inclusive, at which it must keep its content.
        sizes: bytes of each buffer.
        alignment: every offset, and the size of the arena, is a multiple of it. Bytes.
    Returns: the plan; the same arguments always give the same one.
    Source: greedy by size, Pisarchyk & Lee 2020, arXiv:2001.03288, Algorithm 3.
    """
    count = len(sizes)
    padded = [-(-size // alignment) * alignment for size in sizes]
    offsets = [0] * count
    # Of the buffers placed so far, in the order of their places: where each begins and ends, in bytes and in steps.
    starts, stops, firsts, lasts = np.zeros((4, count), np.int64)
    order = sorted(range(count), key=lambda index: (-padded[index], lifetimes[index], index))
    for placed, buffer in enumerate(order):
        first, last = lifetimes[buffer]
        alive = (firsts[:placed] <= last) & (lasts[:placed] >= first)
        offset = _best_gap(starts[:placed][alive], stops[:placed][alive], padded[buffer])
        offsets[buffer] = offset
        place = int(np.searchsorted(starts[:placed], offset))
        for column, value in zip(
            (starts, stops, firsts, lasts), (offset, offset + padded[buffer], first, last), strict=True
        ):
            column[place + 1 : placed + 1] = column[place:placed].copy()
            column[place] = value
    return Arena(tuple(offsets), int(stops.max(initial=0)))


def _best_gap(starts: NDArray[np.int64], stops: NDArray[np.int64], size: int) -> int:
    """Offset of the smallest gap between ranges, sorted by their starts, that holds `size` bytes, or their end."""
    ends = np.concatenate(([0], np.maximum.accumulate(stops)))  # of all ranges before each, and of all
    room = starts - ends[:-1]
    fitting = np.flatnonzero(room >= size)
    return int(ends[fitting[np.argmin(room[fitting])]] if fitting.size else ends[-1])
