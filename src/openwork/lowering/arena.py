"""Where buffers lie in one block of memory, so that memory is used again once a buffer is dead."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


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
    padded = [-(-size // alignment) * alignment for size in sizes]
    offsets = [0] * len(padded)
    placed: list[int] = []
    for buffer in sorted(range(len(padded)), key=lambda index: (-padded[index], lifetimes[index], index)):
        taken = sorted(
            (offsets[other], offsets[other] + padded[other])
            for other in placed
            if _alive_together(lifetimes[buffer], lifetimes[other])
        )
        offsets[buffer] = _best_gap(taken, padded[buffer])
        placed.append(buffer)
    end = max((offset + size for offset, size in zip(offsets, padded, strict=True)), default=0)
    return Arena(tuple(offsets), end)


def _alive_together(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _best_gap(taken: Iterable[tuple[int, int]], size: int) -> int:
    """Offset of the smallest gap between the sorted ranges that holds `size` bytes, or their end."""
    best_offset, best_room = None, 0
    end = 0
    for start, stop in taken:
        room = start - end
        if room >= size and (best_offset is None or room < best_room):
            best_offset, best_room = end, room
        end = max(end, stop)
    return end if best_offset is None else best_offset
