"""Values that any machine can make again, and that a step may be fed instead of those computed before it.

The result of a step in floats differs in its last bits from one instruction set to the next, so that those after it
would be fed something else. Storing the result would cost megabytes. What stands in for it is drawn by a seeded
generator from a few of its values: of the same sizes and signs, however large the tensor.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import gcd, prod

import numpy as np
from numpy.typing import NDArray

from openwork.lowering import Conv, FullyConnected, Program, Step

POOL = 256
_GOLDEN = 0.6180339887498949
# Sums are held the closer the fewer terms they have, but each weight should meet some that are not zero.
_TERMS = 32
_MEETINGS = 16
_SPARSEST = 128

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class StandIn:
    """A tensor's elements are drawn from `pool`, as if it had zeros appended so that there are `choices` in all.

    pool: float32[up to POOL], finite.
    """

    pool: Floats
    choices: int

    def drawn(self, index: int, shape: Sequence[int]) -> Floats:
        """For the result of step `index`. RandomState draws the same numbers in every version of NumPy."""
        table = np.zeros(self.choices, np.float32)
        table[: len(self.pool)] = self.pool
        drawn: Floats = table[np.random.RandomState(index).randint(0, self.choices, tuple(shape), np.uint16)]
        return drawn


def stand_in(real: NDArray[np.generic], share: float) -> StandIn:
    """For a tensor that is `real`, of which a share stays that is not zero. float32."""
    chosen = real.ravel()[places(real.size, POOL)].astype(np.float32)
    pool = chosen[np.isfinite(chosen)]
    pool = pool if pool.size else np.zeros(1, np.float32)
    return StandIn(pool, round(len(pool) / share))


def share_wanted(name: str, readers: Iterable[Step], program: Program) -> float:
    """How much of a buffer should not be zero: all of it, unless only layers with weights read it.

    readers: the steps that read it.

    Their sums of thousands of terms would hide one that is wrong by little, those of a few do not.
    """
    shares = [0.0]
    for step in readers:
        if not isinstance(step, Conv | FullyConnected) or step.requantize is not None:
            return 1.0
        if step.input == name:
            weight = program.constants[step.weight]
            terms = max(1, int(np.count_nonzero(weight)) // len(weight))
            results = prod(program.buffers[step.output].shape) // len(weight)
            shares.append(max(_TERMS / terms, _MEETINGS / results))
    return min(1.0, max(max(shares), 1 / _SPARSEST)) if len(shares) > 1 else 1.0


def places(size: int, count: int) -> NDArray[np.int64]:
    """Up to `count` of the indices below `size`, evenly spread; the first of more are those of fewer."""
    stride = max(1, round(size * _GOLDEN))
    while gcd(stride, size) != 1:
        stride += 1
    return np.arange(min(size, count), dtype=np.int64) * stride % max(size, 1)
