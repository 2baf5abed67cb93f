"""Which weights are kept, proved against the pattern."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from openwork.errors import PatternError
from openwork.sparsity.patterns import NM, Block, Pattern, Unstructured, tile_shape
from openwork.sparsity.tiles import split_tiles, tile_origin


@dataclass(frozen=True, eq=False)
class Mask:
    """Which weights are kept. A Mask that exists has its pattern.

    keep: bool, the shape of the weight, True where it is kept; copied and read-only.
    Raises: PatternError: `keep` does not have the pattern; names the first place where it does not.
    """

    keep: NDArray[np.bool_]
    pattern: Pattern

    def __post_init__(self) -> None:
        keep = np.array(self.keep)
        if keep.dtype != np.bool_:
            raise PatternError(f"mask: is {keep.dtype}, not bool; compare the weights with zero")
        if keep.size == 0:
            raise PatternError(f"mask of shape {keep.shape}: is empty; leave layers without weights out")
        _prove(keep, self.pattern)
        keep.flags.writeable = False
        object.__setattr__(self, "keep", keep)

    @property
    def sparsity(self) -> float:
        """The fraction of dropped weights."""
        return 1.0 - float(self.keep.mean())


def _prove(keep: NDArray[np.bool_], pattern: Pattern) -> None:
    tile = tile_shape(pattern, keep.ndim)
    match pattern:
        case Unstructured():
            return
        case NM(n, _):
            wrong = split_tiles(keep, tile, False).sum(axis=1) > n
            reason = f"the group there keeps more than {n}; drop its smallest weights"
        case Block():
            wrong = split_tiles(keep, tile, False).any(axis=1) & split_tiles(~keep, tile, False).any(axis=1)
            reason = "the block there is kept in part; keep or drop it as a whole"
    if wrong.any():
        place = tile_origin(int(wrong.argmax()), tile, keep.shape)
        raise PatternError(f"mask of shape {keep.shape}: not {pattern} at {place}: {reason}")
