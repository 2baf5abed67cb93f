import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_all_engines_are_measured_and_held_against_ours(tmp_path: Path) -> None:
    options = "--model resnet20 --only fp32-unstructured --only int8-1x4 --rounds 2 --runs 2 --threads 1"
    file = tmp_path / "bench.json"
    subprocess.run([sys.executable, "-m", "bench.cpu", *options.split(), "-o", str(file)], cwd=ROOT, check=True)
    floats, integers = json.loads(file.read_text())["rows"]
    assert {"openwork", "onnxruntime"} <= set(floats["latencies"])
    assert {"openwork", "onnxruntime", "onnxruntime, own int8"} <= set(integers["latencies"])
    for row in (floats, integers):
        ours = row["latencies"]["openwork"]["median"]
        peers = {name: latency["median"] for name, latency in row["latencies"].items() if name != "openwork"}
        assert row["ratios"] == {name: pytest.approx(median / ours) for name, median in peers.items()}
        assert row["fastest_peer"] == min(peers, key=peers.__getitem__)
        assert row["latencies"]["openwork"]["runs"] == 4
