from itertools import pairwise

import pytest

from openwork.compression import Schedule, cubic_sparsity


def test_worked_example() -> None:
    values = [cubic_sparsity(step, begin=10, end=20, final=0.8) for step in (0, 10, 15, 20, 99)]
    assert values == pytest.approx([0, 0, 0.8 * (1 - 0.5**3), 0.8, 0.8])


def test_it_rises_from_the_initial_to_the_final_sparsity_and_ever_more_slowly() -> None:
    values = [cubic_sparsity(step, begin=0, end=100, final=0.9, initial=0.2) for step in range(101)]
    gains = [after - before for before, after in pairwise(values)]
    assert values[0] == pytest.approx(0.2)
    assert values[-1] == 0.9
    assert all(before > after > 0 for before, after in pairwise(gains))


def test_when_masks_are_chosen() -> None:
    schedule = Schedule(begin=4, end=15, frequency=5)
    assert [step for step in range(40) if schedule.updates_at(step)] == [4, 9, 14, 15]
    assert [step for step in range(1, 40) if Schedule(0, 1).updates_at(step)] == [1]


@pytest.mark.parametrize(("begin", "end", "frequency"), [(5, 5, 1), (-1, 5, 1), (0, 5, 0)])
def test_impossible_schedules(begin: int, end: int, frequency: int) -> None:
    with pytest.raises(ValueError, match="begin < end"):
        Schedule(begin, end, frequency)
