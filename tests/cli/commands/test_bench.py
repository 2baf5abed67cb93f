from pathlib import Path

import pytest

from openwork.cli import main
from tests.cli.conftest import Ask


def test_bench_measures_as_many_runs_as_were_asked_for(
    road: Path, ask: Ask, capsys: pytest.CaptureFixture[str]
) -> None:
    for runs in (1, 7, 20):
        result = ask("bench", road / "int8", "--runs", runs, "--threads", 1)
        assert result["runs"] == runs
        assert (result["threads"], result["isa"]) == (1, result["isa"])
        assert 0 < result["median"] <= result["p90"] <= result["p95"] <= result["p99"] < 1
    assert main(["bench", str(road / "int8"), "--runs", "20"]) == 0
    out = capsys.readouterr().out
    assert all(heading in out for heading in ("isa", "mean", "median", "p90", "p95", "p99", "cv"))
    assert result["isa"] in out
    assert f"\non {result['processor']}\n" in out


def test_bench_warns_of_an_unsteady_machine(
    road: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from openwork.deploy import Latency

    for cv, warned in ((0.5, True), (0.01, False)):
        latency = Latency(10, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, cv)
        monkeypatch.setattr("openwork.deploy.measure", lambda *_, latency=latency, **__: {"openwork": latency})
        assert main(["bench", str(road / "int8")]) == 0
        assert ("warning: latency varies by 50%" in capsys.readouterr().err) == warned
