"""Zeros cut into torch networks: while they train, and what must be repaired afterwards."""

from openwork.compression.cuts import Cut, choose_cuts
from openwork.compression.recalibrate import recalibrate_batch_norm
from openwork.compression.schedule import Schedule, cubic_sparsity
from openwork.compression.sparsifier import Sparsifier

__all__ = [
    "Cut",
    "Schedule",
    "Sparsifier",
    "choose_cuts",
    "cubic_sparsity",
    "recalibrate_batch_norm",
]
