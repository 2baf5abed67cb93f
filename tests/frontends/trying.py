"""Tries mutated files, one after the other, in a process of its own.

    python -m tests.frontends.trying 50000 60000       files 50000 to 59999; any range, the longer the better

Prints a line for each file that brings more than an error of openwork's own, and what became of all. If a file is the
end of the process, its number is the last of the file that `--progress` names.
"""

import argparse
import collections
import faulthandler
import mmap
import resource
import signal
import sys
import tempfile
import traceback
from pathlib import Path

from openwork.errors import OpenworkError, UnsupportedError, one_line
from openwork.frontends import load_model
from openwork.lowering import lower
from openwork.passes import canonicalise
from tests.frontends.mutations import mutated

SECONDS = 5.0  # of the processor, that one file may take
MEMORY = 2 << 30  # bytes that openwork may add
LONGEST = 1000  # characters of a message


def outcome(number: int, folder: Path) -> str:
    """How far a file comes. Raises what is no error of openwork's own."""
    suffix, content = mutated(number)
    path = folder / f"m{suffix}"
    path.write_bytes(content)
    stage = "loaded"
    try:
        model = load_model(path)
        stage = "canonicalised"
        canonicalise(model)
        stage = "lowered"
        lower(model).check()
    except OpenworkError as error:
        text = str(error)
        most = LONGEST * len(error.nodes) if isinstance(error, UnsupportedError) else LONGEST
        assert "\n" not in text and len(text) <= most, f"a message of {len(text)} characters: {text!r:.600}"
        return f"refused when {stage}" + (" (a child died)" if "onnx's own" in text else "")
    return "taken"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("first", type=int)
    parser.add_argument("end", type=int)
    parser.add_argument("--progress", type=Path)
    chosen = parser.parse_args()
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    faulthandler.enable()
    faulthandler.register(signal.SIGVTALRM, chain=True)  # says where, then ends the process
    counts: collections.Counter[str] = collections.Counter()
    memory = Path("/dev/shm")  # where files cost least
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for number in range(chosen.first, chosen.end):
            if chosen.progress:
                _note(chosen.progress, number)
            signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
            try:
                counts[outcome(number, Path(folder))] += 1
            except Exception as error:
                counts["WRONG"] += 1
                ours = [each for each in traceback.extract_tb(error.__traceback__) if "openwork" in each.filename]
                where = "; ".join(f"{Path(each.filename).name}:{each.lineno}" for each in ours[-3:])
                print(f"file {number}: {type(error).__name__} {one_line(error)} ({where})", flush=True)
    for what, count in counts.most_common():
        print(f"counted {count} {what}")
    sys.exit(bool(counts["WRONG"]))


_places: dict[Path, mmap.mmap] = {}


def _note(path: Path, number: int) -> None:
    """Into memory that outlives the process."""
    if path not in _places:
        path.write_bytes(bytes(8))
        with path.open("r+b") as stream:
            _places[path] = mmap.mmap(stream.fileno(), 8)
    _places[path][:] = number.to_bytes(8, "little")


if __name__ == "__main__":
    main()
