import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openwork.zoo import cost

ROOT = Path(__file__).parents[2]


def bench(*options: str, folder: Path) -> str:
    command = [sys.executable, "-m", "bench.networks", "--threads", "1", "--rounds", "2", "--runs", "2", *options]
    command += ["--only", "ds_cnn", "--cache", str(folder / "cache")]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_what_was_measured_is_written_and_not_measured_again(tmp_path: Path) -> None:
    page = tmp_path / "networks.md"
    result = json.loads(bench("--json", "-o", str(page), folder=tmp_path))
    floats, integers = result["rows"]
    assert [floats["dtype"], integers["dtype"]] == ["fp32", "int8"]
    assert result["failures"] == []
    for row in result["rows"]:
        assert (row["parameters"], row["macs"]) == (cost("ds_cnn").parameters, cost("ds_cnn").macs)
        assert row["inputs"] == {"x": [1, 1, 49, 10]}
        assert 0.5 < row["sparsity"] < 0.8, "the first convolution and depthwise ones are dense"
        assert row["openwork"]["runs"] == row["onnxruntime"]["runs"] == 4
        assert row["ratio"] == pytest.approx(row["onnxruntime"]["median"] / row["openwork"]["median"])
    assert floats["largest_difference"] <= 1e-4
    assert (floats["integer_share"], integers["integer_share"]) == (0, 1)
    assert integers["float_steps"] == {}
    assert 1e-6 < integers["from_float"] < 0.05

    (table,) = [[line for line in page.read_text().splitlines() if line.startswith("|")]]
    assert len({line.count("|") for line in table}) == 1
    assert [line.split("|")[1].strip() for line in table] == ["network", "---", "ds_cnn", "ds_cnn"]

    begin = time.time()
    files = sorted((tmp_path / "cache").iterdir())
    assert bench(folder=tmp_path).splitlines() == table
    assert all(file.stat().st_mtime < begin for file in files)

    files[1].unlink()
    assert json.loads(bench("--json", folder=tmp_path))["rows"][0] == floats
    assert files[0].stat().st_mtime < begin < files[1].stat().st_mtime
