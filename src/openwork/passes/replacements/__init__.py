"""Operators that become others which mean the same, or nothing where they do nothing."""

from openwork.passes.replacements.batch_norm_to_conv import batch_norm_to_conv
from openwork.passes.replacements.copy_constant_outputs import copy_constant_outputs
from openwork.passes.replacements.drop_empty_pads import drop_empty_pads
from openwork.passes.replacements.expand_conv_transpose import expand_conv_transpose
from openwork.passes.replacements.expand_qoperators import QOPERATORS, expand_qoperators
from openwork.passes.replacements.sort_top_k import sort_top_k
from openwork.passes.replacements.widen_floats import widen_floats

__all__ = [
    "QOPERATORS",
    "batch_norm_to_conv",
    "copy_constant_outputs",
    "drop_empty_pads",
    "expand_conv_transpose",
    "expand_qoperators",
    "sort_top_k",
    "widen_floats",
]
