"""The arena plan against its definition: buffers that live together never share a byte."""

from itertools import combinations

import hypothesis.strategies as st
from hypothesis import given, settings

from openwork.lowering.arena import Arena, plan_arena

LIFETIMES = st.tuples(st.integers(0, 20), st.integers(0, 20)).map(lambda steps: (min(steps), max(steps)))
BUFFERS = st.lists(st.tuples(LIFETIMES, st.integers(0, 5000)), max_size=24)


@settings(max_examples=200, deadline=None)
@given(BUFFERS, st.sampled_from([1, 16, 64]))
def test_live_buffers_never_overlap(buffers: list[tuple[tuple[int, int], int]], alignment: int) -> None:
    lifetimes = [lifetime for lifetime, _ in buffers]
    sizes = [size for _, size in buffers]
    arena = plan_arena(lifetimes, sizes, alignment=alignment)

    placed = list(zip(lifetimes, sizes, arena.offsets, strict=True))
    for (a_life, a_size, a), (b_life, b_size, b) in combinations(placed, 2):
        together = a_life[0] <= b_life[1] and b_life[0] <= a_life[1]
        assert not together or a + a_size <= b or b + b_size <= a
    for _, size, offset in placed:
        assert offset % alignment == 0
        assert 0 <= offset <= offset + size <= arena.size
    peak = max(sum(size for (first, last), size in buffers if first <= step <= last) for step in range(21))
    assert arena.size >= peak
    assert arena.size % alignment == 0
    assert plan_arena(lifetimes, sizes, alignment=alignment) == arena


def test_a_chain_alternates_between_two_places() -> None:
    chain = [(step, step + 1) for step in range(6)]
    assert plan_arena(chain, [128] * 6) == Arena((0, 128, 0, 128, 0, 128), 256)


def test_a_small_buffer_takes_the_smallest_gap_that_holds_it() -> None:
    # Alive throughout at 0..512, at 640..; dead by step 1: 512..640. The small one fits between the two.
    lifetimes = [(0, 2), (0, 0), (1, 2), (1, 2)]
    arena = plan_arena(lifetimes, [512, 256, 192, 64])
    assert arena == Arena((0, 512, 512, 704), 768)


def test_no_buffers_need_no_memory() -> None:
    assert plan_arena([], []) == Arena((), 0)
