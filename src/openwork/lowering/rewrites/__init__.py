"""Steps that become other steps: before integers are put in (`commute`, `fold_bias`), and afterwards (`fuse`)."""

from openwork.lowering.rewrites.commute import elementwise_first
from openwork.lowering.rewrites.fold_bias import fold_bias
from openwork.lowering.rewrites.fuse import fuse

__all__ = ["elementwise_first", "fold_bias", "fuse"]
