"""50,000 mutated files: nothing but errors of openwork's own comes of them, and no end of the process.

They cost some minutes of the processor. `python -m tests.frontends.trying 50000 1000000` tries others.
"""

import collections
import re
import subprocess
import sys

import pytest

from tests.frontends.mutations import mutated

FILES, CHUNK = 50_000, 10_000


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, FILES, CHUNK))
def test_mutated_files_are_taken_or_refused(first, tmp_path, capsys):
    end, progress, told = first + CHUNK, tmp_path / "progress", []
    place, counts = first, collections.Counter()
    while place < end and len(told) < 20:
        command = [sys.executable, "-m", "tests.frontends.trying", str(place), str(end), "--progress", str(progress)]
        process = subprocess.run(command, capture_output=True, text=True, errors="replace")
        wrong = [line for line in process.stdout.splitlines() if line.startswith("file ")]
        told += wrong
        for count, what in re.findall(r"^counted (\d+) (.*)$", process.stdout, re.MULTILINE):
            counts[what] += int(count)
        if process.returncode == int(bool(wrong)):
            break
        died = int.from_bytes(progress.read_bytes(), "little")
        told.append(f"file {died}: the process ends with {process.returncode}: {process.stderr[-2000:]}")
        place = died + 1
    with capsys.disabled():
        print(f" [{', '.join(f'{count} {what}' for what, count in counts.most_common())}]", end="")
    assert not told, "\n".join(
        [*told, "Repeat one with `python -m tests.frontends.trying NUMBER NUMBER+1`, on this very state of the tests."]
    )
    assert counts.total() == CHUNK
    # Mutations reach all of the road, not its beginning alone.
    for stage in ("refused when loaded", "refused when canonicalised", "refused when lowered", "taken"):
        assert counts[stage] > CHUNK / 100, stage


def test_a_number_makes_the_same_file_again():
    for number in range(50):
        assert mutated(number) == mutated(number)
    assert len({mutated(number) for number in range(50)}) > 45
