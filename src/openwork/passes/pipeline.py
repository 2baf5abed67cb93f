"""From any ONNX model to the canonical graph that the other floors read."""

from collections.abc import Callable, Mapping, Sequence

import onnx_ir as ir
from onnx_ir.passes import common

from openwork.errors import ModelError
from openwork.graph import OLDEST_OPSET
from openwork.passes.fold_batch_norm import fold_batch_norm
from openwork.passes.fold_constants import fold_constants
from openwork.passes.fuse_matmul_add import fuse_matmul_add
from openwork.passes.infer_shapes import infer_shapes
from openwork.passes.name_nodes import name_nodes
from openwork.passes.replacements import (
    QOPERATORS,
    batch_norm_to_conv,
    copy_constant_outputs,
    drop_empty_pads,
    expand_conv_transpose,
    expand_qoperators,
    sort_top_k,
    widen_floats,
)
from openwork.passes.set_static_shapes import set_static_shapes
from openwork.passes.strip_metadata import strip_metadata
from openwork.passes.transposes import cancel_transposes

# A rewrite of the model in place; the result says whether anything changed.
Pass = Callable[[ir.Model], bool]


def _library(rewrite: ir.passes.InPlacePass, wrong: str = "its parts do not fit together") -> Pass:
    """A pass of onnx_ir in the form of ours. wrong: what is the matter with a model that it refuses."""

    def run(model: ir.Model) -> bool:
        try:
            return rewrite(model).modified
        except (ValueError, ir.passes.PassError, ir.passes.InvariantError) as error:
            raise ModelError(f"model: {wrong}; check the model") from error

    return run


# Before shapes are looked at.
PREPARATION: tuple[Pass, ...] = (
    _library(common.InlinePass(), "it calls functions of another opset than its own"),
    _library(common.RemoveInitializersFromInputsPass()),
    _library(common.TopologicalSortPass(), "its nodes read each other's results in a circle"),
)

PIPELINE: tuple[Pass, ...] = (
    widen_floats,
    expand_qoperators,
    name_nodes,  # before the library's passes name nodes in their own way
    _library(common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)),
    fold_constants,
    copy_constant_outputs,
    _library(common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)),  # what folding made
    _library(common.RemoveUnusedNodesPass()),
    infer_shapes,
    drop_empty_pads,
    cancel_transposes,
    fuse_matmul_add,
    fold_batch_norm,
    batch_norm_to_conv,
    expand_conv_transpose,
    sort_top_k,
    _library(common.RemoveUnusedNodesPass()),
    _library(common.RemoveUnusedOpsetsPass()),
    name_nodes,
    strip_metadata,
)

# Operators that passes write as others.
REWRITTEN: Mapping[str, Sequence[Pass]] = {
    "BatchNormalization": (fold_batch_norm, batch_norm_to_conv),
    "ConvTranspose": (expand_conv_transpose,),
    **dict.fromkeys(QOPERATORS, (expand_qoperators,)),
}


def canonicalise(model: ir.Model, *, shapes: Mapping[str, tuple[int, ...]] | None = None, batch: int = 1) -> None:
    """Bring a model into canonical form, in place.

    Args:
        shapes: static shapes in elements by input name, for inputs whose shape is symbolic or to be changed.
        batch: the size of a symbolic first dimension.
    Ensures: inputs hold no initializers; every value has a static shape, a dtype and a name of its own, every
        node a name of its own; what is constant is an initializer, except behind DequantizeLinear;
        no Identity, Dropout, BatchNormalization behind Conv or Gemm, or node without use; no metadata.
        Doing it again changes nothing.
    Raises: ModelError: the opset is older than 13 (`load_model` converts it), a symbolic dimension is left, shapes do
        not fit together, or cannot be inferred.
    """
    opset = model.opset_imports.get("", OLDEST_OPSET)
    if opset < OLDEST_OPSET:
        raise ModelError(f"model: opset {opset} is older than {OLDEST_OPSET}; read it with load_model, which converts")
    for rewrite in PREPARATION:
        rewrite(model)
    set_static_shapes(model, shapes or {}, batch)
    for rewrite in PIPELINE:
        rewrite(model)
