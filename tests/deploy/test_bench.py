import time

import numpy as np
import pytest

from openwork.deploy.bench import Latency, measure


def test_figures_of_a_known_series() -> None:
    latency = Latency.of([float(value) for value in range(1, 102)])
    assert latency.runs == 101
    assert (latency.mean, latency.median) == (51, 51)
    assert (latency.p90, latency.p95, latency.p99) == (91, 96, 100)
    assert latency.cv == pytest.approx(np.std(np.arange(1, 102)) / 51)


def test_no_measurement_is_an_error() -> None:
    with pytest.raises(ValueError, match="no runs"):
        Latency.of([])


def test_runners_take_turns_in_blocks() -> None:
    calls: list[str] = []
    runners = {name: lambda name=name: calls.append(name) for name in "ab"}
    found = measure(runners, rounds=2, runs=3, warmup=1)
    assert calls == (["a"] * 4 + ["b"] * 4) * 2
    assert {name: latency.runs for name, latency in found.items()} == {"a": 6, "b": 6}


def test_times_are_seconds_and_warm_up_is_left_out() -> None:
    calls = []

    def slow_at_first() -> None:
        calls.append(None)
        time.sleep(0.2 if len(calls) == 1 else 0.002)

    latency = measure({"x": slow_at_first}, rounds=1, runs=5, warmup=1)["x"]
    assert 0.002 <= latency.median < latency.p99 < 0.1


def test_progress_is_told_turn_by_turn() -> None:
    told: list[tuple[int, int]] = []
    measure({"a": int, "b": int}, rounds=2, runs=1, warmup=0, progress=lambda *turn: told.append(turn))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
