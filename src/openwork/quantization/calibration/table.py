"""The calibration table: what was learnt of each tensor, as a file that people read and shards add up."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from openwork.errors import CalibrationError, DataError
from openwork.files import read_regular, write_whole
from openwork.quantization.calibration.histogram_observers import KL, MSE, Percentile
from openwork.quantization.calibration.observers import MinMax, MovingAverage, Observer, Range

SCHEMA_VERSION = 1
_KIND = "openwork.calibration"

# The calibrators, by the names they have in tables and on the command line.
METHODS: Mapping[str, type[Observer]] = {kind.method: kind for kind in (MinMax, MovingAverage, Percentile, KL, MSE)}


@dataclass(frozen=True, eq=False)
class CalibrationTable:
    """Tensors and what was observed of them, all by one method.

    method: the observers' name, a key of `METHODS`.
    samples: how many images, sentences, ... were seen.
    observers: by name of the tensor, in graph order.
    """

    method: str
    samples: int
    observers: Mapping[str, Observer]

    @property
    def ranges(self) -> dict[str, Range]:
        """Tensor name -> (low, high). Computed anew each time: KL and MSE search."""
        return {name: observer.range() for name, observer in self.observers.items()}

    def save(self, path: Path) -> None:
        """Write the table as JSON, one tensor a line. Raises: ArtifactError: the place cannot be written."""
        lines = []
        for name, observer in self.observers.items():
            entry = {"range": observer.range(), **observer.to_json()}
            lines.append(f"    {json.dumps(name)}: {json.dumps(entry, allow_nan=False)}")
        head = {"kind": _KIND, "schema_version": SCHEMA_VERSION, "method": self.method, "samples": self.samples}
        write_whole(path, json.dumps(head, indent=2)[:-2] + ',\n  "tensors": {\n' + ",\n".join(lines) + "\n  }\n}\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises: DataError: the file is missing, damaged, or no calibration table. CalibrationError: it has
            settings that no calibrator takes.
        """
        entries = _parsed(path)
        try:
            kind = METHODS[entries["method"]]
            observers = {name: kind.from_json(state) for name, state in entries["tensors"].items()}
            samples = entries["samples"]
            if not isinstance(samples, int) or samples < 0:
                raise ValueError(f"samples {samples!r}")
            return cls(kind.method, samples, observers)
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise DataError(
                f"{path}: is damaged ({type(error).__name__} {error}); write the table again with --save-table"
            ) from error

    @classmethod
    def merge(cls, tables: Sequence["CalibrationTable"]) -> Self:
        """One table of several, which were made of parts of the data; those are not modified.

        As if all data had been seen at once: exactly so but for moving averages, see `MovingAverage`.

        Raises: CalibrationError: no table, or they differ in method, settings or tensors.
        """
        if not tables:
            raise CalibrationError("no table to merge; give at least one")
        first = tables[0]
        kind = METHODS[first.method]
        merged = {name: kind.from_json(observer.to_json()) for name, observer in first.observers.items()}
        for table in tables[1:]:
            if table.method != first.method:
                raise CalibrationError(
                    f"tables of {first.method} and of {table.method}: cannot be merged; calibrate all with one method"
                )
            different = sorted(merged.keys() ^ table.observers.keys())
            if different:
                raise CalibrationError(f"tensor {different[0]!r}: is not in all tables; merge tables of one model")
            for name, observer in merged.items():
                observer.merge(table.observers[name])
        return cls(first.method, sum(table.samples for table in tables), merged)


def _parsed(path: Path) -> dict[str, Any]:
    try:
        entries = json.loads(read_regular(path))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({error}); give a table that --save-table wrote") from error
    if not isinstance(entries, dict) or entries.get("kind") != _KIND:
        raise DataError(f"{path}: is no calibration table; give one that --save-table wrote")
    if entries.get("schema_version") != SCHEMA_VERSION:
        raise DataError(
            f"{path}: has schema_version {entries.get('schema_version')!r}, this openwork reads {SCHEMA_VERSION}; "
            "write the table again with --save-table"
        )
    return entries
