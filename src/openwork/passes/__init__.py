"""Rewrites of the graph, one a file, and the pipeline that makes any model canonical."""

from openwork.passes.fold_batch_norm import fold_batch_norm
from openwork.passes.fold_constants import fold_constants
from openwork.passes.fuse_matmul_add import fuse_matmul_add
from openwork.passes.infer_shapes import infer_shapes
from openwork.passes.name_nodes import name_nodes
from openwork.passes.pipeline import PIPELINE, REWRITTEN, Pass, canonicalise
from openwork.passes.replacements import (
    QOPERATORS,
    batch_norm_to_conv,
    drop_empty_pads,
    expand_conv_transpose,
    expand_qoperators,
)
from openwork.passes.set_static_shapes import set_static_shapes
from openwork.passes.strip_metadata import strip_metadata
from openwork.passes.transposes import cancel_transposes

__all__ = [
    "PIPELINE",
    "QOPERATORS",
    "REWRITTEN",
    "Pass",
    "batch_norm_to_conv",
    "cancel_transposes",
    "canonicalise",
    "drop_empty_pads",
    "expand_conv_transpose",
    "expand_qoperators",
    "fold_batch_norm",
    "fold_constants",
    "fuse_matmul_add",
    "infer_shapes",
    "name_nodes",
    "set_static_shapes",
    "strip_metadata",
]
