"""Pooling and resizing of images."""

from collections.abc import Mapping

import tflite

from openwork.frontends.tflite.draft import TO_NCHW, TO_NHWC, Draft
from openwork.frontends.tflite.network import Operator
from openwork.frontends.tflite.operators.rule import Rule, activated, moves_stored
from openwork.frontends.tflite.operators.windows import pads_of, strides_of

# What ONNX's MaxPool and Resize take.
_BYTES_AND_FLOATS = ("float32", "int8", "uint8")


def _average_pool_2d(op: Operator, draft: Draft) -> None:
    value = draft.emit("AveragePool", draft.real(op, 0, TO_NCHW), **_window(op, draft))
    draft.write(op, activated(op, draft, value), TO_NHWC)


def _max_pool_2d(op: Operator, draft: Draft) -> None:
    stored, function = _moves_bytes(op, draft), op.option("FusedActivationFunction")
    value = draft.stored(op, 0, TO_NCHW) if stored else draft.real(op, 0, TO_NCHW)
    value = draft.emit("MaxPool", value, **_window(op, draft))
    if stored and function != tflite.ActivationFunctionType.NONE:
        value, stored = draft.dequantized(op, 0, value), False
    draft.write(op, value if stored else activated(op, draft, value), TO_NHWC, stored=stored)


def _window(op: Operator, draft: Draft) -> dict[str, object]:
    size, kernel = draft.tensor(op, 0, rank=4).shape[1:3], (op.option("FilterHeight"), op.option("FilterWidth"))
    strides = strides_of(op)
    return {"kernel_shape": kernel, "strides": strides, "pads": pads_of(op, size, kernel, strides, (1, 1))}


def _moves_bytes(op: Operator, draft: Draft) -> bool:
    return moves_stored(op, draft, 0) and draft.tensor(op, 0).dtype.name in _BYTES_AND_FLOATS


def _resize_bilinear(op: Operator, draft: Draft) -> None:
    if op.option("AlignCorners", False):
        mode = "align_corners"
    else:
        mode = "half_pixel" if op.option("HalfPixelCenters", False) else "asymmetric"
    value = draft.emit(
        "Resize",
        draft.real(op, 0, TO_NCHW),
        None,
        None,
        draft.integers(_resized(op, draft), "sizes"),
        mode="linear",
        coordinate_transformation_mode=mode,
    )
    draft.write(op, value, TO_NHWC)


def _resize_nearest_neighbor(op: Operator, draft: Draft) -> None:
    """Half pixels: floor((x + 0.5) * scale), which is ONNX's coordinate x' = (x + 0.5) * scale - 0.5, rounded up."""
    if op.option("AlignCorners", False):
        mode, nearest = "align_corners", "round_prefer_ceil"
    elif op.option("HalfPixelCenters", False):
        mode, nearest = "half_pixel", "round_prefer_ceil"
    else:
        mode, nearest = "asymmetric", "floor"
    stored = _moves_bytes(op, draft)
    value = draft.emit(
        "Resize",
        draft.stored(op, 0, TO_NCHW) if stored else draft.real(op, 0, TO_NCHW),
        None,
        None,
        draft.integers(_resized(op, draft), "sizes"),
        mode="nearest",
        coordinate_transformation_mode=mode,
        nearest_mode=nearest,
    )
    draft.write(op, value, TO_NHWC, stored=stored)


def _resized(op: Operator, draft: Draft) -> list[int]:
    """The output's shape as NCHW: what the operator's second input asks for, which is checked with all shapes."""
    draft.tensor(op, 0, rank=4)
    shape, size = draft.result(op, rank=4).shape, draft.array(op, 1, "size").reshape(2).tolist()
    return [shape[0], shape[3], *size]


def _depth_to_space(op: Operator, draft: Draft) -> None:
    draft.tensor(op, 0, rank=4)
    value = draft.emit("DepthToSpace", draft.real(op, 0, TO_NCHW), blocksize=op.option("BlockSize"), mode="DCR")
    draft.write(op, value, TO_NHWC)


def _space_to_depth(op: Operator, draft: Draft) -> None:
    draft.tensor(op, 0, rank=4)
    value = draft.emit("SpaceToDepth", draft.real(op, 0, TO_NCHW), blocksize=op.option("BlockSize"))
    draft.write(op, value, TO_NHWC)


OPERATORS: Mapping[str, Rule] = {
    "AVERAGE_POOL_2D": _average_pool_2d,
    "DEPTH_TO_SPACE": _depth_to_space,
    "MAX_POOL_2D": _max_pool_2d,
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest_neighbor,
    "SPACE_TO_DEPTH": _space_to_depth,
}
