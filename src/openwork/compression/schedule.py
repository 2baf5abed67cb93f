"""How much to cut, and when."""

from dataclasses import dataclass


def cubic_sparsity(step: int, *, begin: int, end: int, final: float, initial: float = 0.0) -> float:
    """Sparsity that rises fast at first, while many weights are redundant, and slowly near the end.

        s(t) = final + (initial - final) * (1 - (t - begin) / (end - begin))^3      for begin <= t <= end,

    `initial` before and `final` after.

    Args:
        step: t, in optimizer steps. begin, end: of the rise, begin < end.
        initial, final: fractions of zeros.
    Source: Zhu & Gupta 2017, arXiv:1710.01878, equation 1; end = begin + n * frequency.
    """
    progress = min(max((step - begin) / (end - begin), 0.0), 1.0)
    return final + (initial - final) * (1.0 - progress) ** 3


@dataclass(frozen=True)
class Schedule:
    """When masks are chosen anew: every `frequency` optimizer steps from `begin` to `end`, and at `end`.

    Steps count from 1. After `end` masks are frozen. `Schedule(0, 1)` cuts everything at the first step.
    """

    begin: int
    end: int
    frequency: int = 100

    def __post_init__(self) -> None:
        if not (0 <= self.begin < self.end and self.frequency > 0):
            raise ValueError(f"{self}: needs 0 <= begin < end and frequency > 0")

    def updates_at(self, step: int) -> bool:
        """Whether masks are chosen anew at this step."""
        return self.begin <= step <= self.end and ((step - self.begin) % self.frequency == 0 or step == self.end)
