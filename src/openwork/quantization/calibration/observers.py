"""Observers: what range a tensor has, learnt from a stream of arrays in memory that does not grow."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from openwork.errors import CalibrationError

Range = tuple[float, float]

# An observer's state, as JSON holds it.
State = Mapping[str, Any]


class Observer(Protocol):
    """Sees the arrays of one tensor, one after another; all values finite.

    method: its name in tables and on the command line.
    """

    method: ClassVar[str]

    def update(self, array: NDArray[np.floating]) -> None:
        """Take one more array in, of any shape."""

    def range(self) -> Range:
        """The smallest and largest value to represent.

        Raises: CalibrationError: nothing was seen.
        """

    def merge(self, other: Self) -> None:
        """Take in all that another observer of the same kind and settings saw.

        Raises: CalibrationError: its settings differ.
        """

    def to_json(self) -> dict[str, Any]:
        """Settings and state."""

    @classmethod
    def from_json(cls, state: State) -> Self:
        """The observer that gave `state`. Raises: KeyError, TypeError, ValueError, CalibrationError: it is none."""


class MinMax:
    """The smallest and largest value seen. Merging is exact."""

    method: ClassVar[str] = "minmax"

    def __init__(self) -> None:
        self._low, self._high = np.inf, -np.inf

    def update(self, array: NDArray[np.floating]) -> None:
        if array.size:
            self._take(float(array.min()), float(array.max()))

    def range(self) -> Range:
        return checked_range(self._low, self._high)

    def merge(self, other: Self) -> None:
        self._take(other._low, other._high)

    def to_json(self) -> dict[str, Any]:
        return ends_to_json(self._low, self._high)

    @classmethod
    def from_json(cls, state: State) -> Self:
        observer = cls()
        observer._low, observer._high = ends_from_json(state)
        return observer

    def _take(self, low: float, high: float) -> None:
        self._low, self._high = min(self._low, low + 0.0), max(self._high, high + 0.0)  # -0.0 becomes 0.0


class MovingAverage:
    """Exponential averages of the smallest and of the largest value of each array (each batch).

    The first array sets them; each later one counts with 1 - momentum. They depend on the order of the arrays, so
    merging cannot be as if one observer had seen all: merged ends are means, weighted by the number of arrays.

    Args:
        momentum: in [0, 1).
    """

    method: ClassVar[str] = "moving_average"

    def __init__(self, momentum: float = 0.9) -> None:
        if not 0 <= momentum < 1:
            raise CalibrationError(f"momentum {momentum}: not in [0, 1); give one such as 0.9")
        self._momentum = momentum
        self._low, self._high, self._arrays = np.inf, -np.inf, 0

    def update(self, array: NDArray[np.floating]) -> None:
        if array.size:
            share = 1 - self._momentum if self._arrays else 1.0
            self._blend(float(array.min()), float(array.max()), share)
            self._arrays += 1

    def range(self) -> Range:
        return checked_range(self._low, self._high)

    def merge(self, other: Self) -> None:
        check_alike(self._momentum, other._momentum, "momentum")
        if other._arrays:
            self._blend(other._low, other._high, other._arrays / (self._arrays + other._arrays))
            self._arrays += other._arrays

    def to_json(self) -> dict[str, Any]:
        return {"momentum": self._momentum, "arrays": self._arrays, **ends_to_json(self._low, self._high)}

    @classmethod
    def from_json(cls, state: State) -> Self:
        observer = cls(state["momentum"])
        observer._arrays = whole(state["arrays"])
        observer._low, observer._high = ends_from_json(state)
        return observer

    def _blend(self, low: float, high: float, share: float) -> None:
        """Give new ends their share; all of it where there are none yet."""
        if share == 1:
            self._low, self._high = low, high
        else:
            self._low = (1 - share) * self._low + share * low
            self._high = (1 - share) * self._high + share * high


def checked_range(low: float, high: float) -> Range:
    """Raises: CalibrationError: nothing was seen."""
    if low > high:
        raise CalibrationError("no value was observed; give calibration data")
    return low, high


def check_alike(own: object, other: object, setting: str) -> None:
    """Raises: CalibrationError: two observers to merge have different settings."""
    if own != other:
        raise CalibrationError(f"{setting} {own} and {other}: differ; merge tables of one calibrator")


def ends_to_json(low: float, high: float) -> dict[str, Any]:
    """JSON has no infinity: nothing seen is null."""
    return {"low": low, "high": high} if low <= high else {"low": None, "high": None}


def ends_from_json(state: State) -> Range:
    """Raises: KeyError, TypeError, ValueError: no ends."""
    if state["low"] is None and state["high"] is None:
        return np.inf, -np.inf
    low, high = float(state["low"]), float(state["high"])
    if not -np.inf < low <= high < np.inf:
        raise ValueError(f"range {low} to {high}")
    return low, high


def whole(number: Any) -> int:
    """A count. Raises: ValueError: it is none."""
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise ValueError(f"count {number!r}")
    return number
