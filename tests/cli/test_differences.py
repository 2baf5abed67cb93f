import json
from math import inf, nan

import pytest

from openwork.cli.differences import differences_json, print_differences
from openwork.deploy import Difference

GOOD = Difference("y", 0.5, 0.25, 1.0, 1e-9, 0.5)
BAD = Difference("z", inf, nan, 0.5, nan, 0.5)


def test_json_tells_the_verdict_and_holds_no_nan() -> None:
    good, bad = json.loads(json.dumps(differences_json([GOOD, BAD]), allow_nan=False))
    assert good == {**GOOD.to_json(), "passed": True}
    assert (bad["name"], bad["passed"], bad["correct_ratio"]) == ("z", False, 0.5)
    assert bad["max_abs_diff"] is bad["mean_abs_diff"] is bad["distance"] is None


def test_the_table_tells_the_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    print_differences([GOOD, BAD])
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].split()[:4] == ["y", "PASSED", "0.5", "0.25"]
    assert lines[3].split()[:4] == ["z", "FAILED", "inf", "nan"]
