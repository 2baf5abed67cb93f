import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.backends.cpu.programs import instruction_sets_here

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_all_engines_are_measured_and_held_against_ours(tmp_path: Path) -> None:
    options = "--model resnet20 --only fp32-unstructured --only int8-1x4 --rounds 2 --runs 2 --threads 1 --cpu-time"
    file = tmp_path / "bench.json"
    others = [f"--isa={isa}" for isa in instruction_sets_here()]
    command = [sys.executable, "-m", "bench.cpu", *options.split(), *others, "-o", str(file)]
    subprocess.run(command, cwd=ROOT, check=True)
    result = json.loads(file.read_text())
    assert result["processor"]
    floats, integers = result["rows"]
    own = {"openwork", *(f"openwork {isa}" for isa in instruction_sets_here())}
    assert {name for name in integers["latencies"] if name.startswith("openwork")} == own
    assert {"openwork", "onnxruntime"} <= set(floats["latencies"])
    assert {"openwork", "onnxruntime", "onnxruntime, own int8"} <= set(integers["latencies"])
    for row in (floats, integers):
        ours = row["latencies"]["openwork"]["median"]
        peers = {name: latency["median"] for name, latency in row["latencies"].items() if name != "openwork"}
        assert row["ratios"] == {name: pytest.approx(median / ours) for name, median in peers.items()}
        assert row["isa"] == instruction_sets_here()[-1]
        assert row["fastest_peer"] == min(peers.keys() - own, key=peers.__getitem__)
        assert row["latencies"]["openwork"]["runs"] == 4
