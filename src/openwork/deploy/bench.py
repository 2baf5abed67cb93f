"""Latency of several runners, measured side by side."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

# Worker threads of inference engines, ours too, spin for a while after a run and would slow the next runner:
# onnxruntime's for some 40 ms.
_SETTLE_SECONDS = 0.06


@dataclass(frozen=True)
class Latency:
    """How long one inference takes, in seconds, over `runs` runs.

    p90, p95, p99: percentiles, interpolated linearly.
    cv: coefficient of variation, standard deviation / mean, no unit.
    """

    runs: int
    mean: float
    median: float
    p90: float
    p95: float
    p99: float
    cv: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency":
        """Raises: ValueError: there is no measurement."""
        if not seconds:
            raise ValueError("no runs were measured")
        mean = float(np.mean(seconds))
        median, p90, p95, p99 = (float(value) for value in np.percentile(seconds, (50, 90, 95, 99)))
        return cls(len(seconds), mean, median, p90, p95, p99, float(np.std(seconds)) / mean)


def measure(
    runners: Mapping[str, Callable[[], object]],
    *,
    rounds: int = 10,
    runs: int = 10,
    warmup: int = 3,
    clock: Callable[[], float] = time.perf_counter,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Latency]:
    """Time each runner, one block of runs after another, round by round.

    What changes slowly (clock frequency, a busy neighbour) then meets all runners alike: ratios hold where
    absolute times drift.

    Args:
        runners: one inference each.
        rounds: times that every runner gets its turn. runs: measured runs in a turn.
        warmup: runs before them that are not measured; the runner before had the caches.
        clock: that is read before and after each run, in seconds.
        progress: called after each turn with the turns done and their total.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runners}
    turns = [name for _ in range(rounds) for name in runners]
    for done, name in enumerate(turns, start=1):
        time.sleep(_SETTLE_SECONDS)
        for _ in range(warmup):
            runners[name]()
        seconds[name] += [_time(runners[name], clock) for _ in range(runs)]
        progress(done, len(turns))
    return {name: Latency.of(times) for name, times in seconds.items()}


def _time(runner: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    runner()
    return clock() - start
