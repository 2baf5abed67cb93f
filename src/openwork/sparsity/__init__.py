"""Patterns of zeros, masks that prove themselves, and how to find both in weights. NumPy only."""

from openwork.sparsity.find import FoundPattern, find_pattern
from openwork.sparsity.mask import Mask
from openwork.sparsity.patterns import NM, UNSTRUCTURED, Block, Pattern, Unstructured, parse_pattern
from openwork.sparsity.select import best_mask

__all__ = [
    "NM",
    "UNSTRUCTURED",
    "Block",
    "FoundPattern",
    "Mask",
    "Pattern",
    "Unstructured",
    "best_mask",
    "find_pattern",
    "parse_pattern",
]
