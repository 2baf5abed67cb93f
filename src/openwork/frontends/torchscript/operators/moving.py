"""Operators that move, repeat or resample elements."""

import sys
from collections.abc import Mapping, Sequence

import numpy as np

from openwork.frontends.torchscript.draft import Draft, Unsupported
from openwork.frontends.torchscript.operators.rule import Call, Rule, Values, dtype_of, reshaped, with_relu


def _reshape(call: Call, draft: Draft) -> Values:
    return reshaped(call.value(call.operand, draft), call, draft, name=call.name)


def _expand(call: Call, draft: Draft) -> Values:
    shape = draft.integers(call.result.shape, f"{call.name}.shape")
    return draft.node("Expand", [call.value(call.operand, draft), shape], name=call.name)


def _permute(call: Call, draft: Draft) -> Values:
    return _permuted([axis % call.example.ndim for axis in call["dims"]], call, draft)


def _transpose(call: Call, draft: Draft) -> Values:
    axes = list(range(call.example.ndim))
    one, other = call["dim0"], call["dim1"]
    axes[one], axes[other] = axes[other], axes[one]
    return _permuted(axes, call, draft)


def _matrix_transpose(call: Call, draft: Draft) -> Values:
    return _permuted(list(range(call.example.ndim))[::-1], call, draft)


def _permuted(axes: Sequence[int], call: Call, draft: Draft) -> Values:
    return draft.node("Transpose", [call.value(call.operand, draft)], {"perm": axes}, name=call.name)


def _slice(call: Call, draft: Draft) -> Values:
    start, end = call["start"] or 0, call["end"]
    numbers = [start, sys.maxsize if end is None else end, call["dim"], call["step"]]
    inputs = [draft.integers([number], f"{call.name}.slice") for number in numbers]
    return draft.node("Slice", [call.value(call.operand, draft), *inputs], name=call.name)


def _select(call: Call, draft: Draft) -> Values:
    index = draft.constant(np.asarray(call["index"], np.int64), f"{call.name}.index")
    return draft.node("Gather", [call.value(call.operand, draft), index], {"axis": call["dim"]}, name=call.name)


def _split(call: Call, draft: Draft) -> Values:
    sizes = draft.integers([part.shape[call["dim"]] for part in call.result], f"{call.name}.sizes")
    inputs = [call.value(call.operand, draft), sizes]
    return draft.node("Split", inputs, {"axis": call["dim"]}, name=call.name, outputs=len(call.result))


def _concat(call: Call, draft: Draft) -> Values:
    parts = [call.value(part, draft) for part in call.operand]
    return draft.node("Concat", parts, {"axis": call["dim"]}, name=call.name)


def _pad(call: Call, draft: Draft) -> Values:
    if call.arguments.get("mode", "constant") != "constant":
        raise Unsupported(f"its mode is {call['mode']!r}")
    pairs = list(zip(call["pad"][::2], call["pad"][1::2], strict=True))  # of the last axis first
    rest = [(0, 0)] * (call.example.ndim - len(pairs))
    before, after = zip(*rest, *reversed(pairs), strict=True)
    pads = draft.integers(before + after, f"{call.name}.pads")
    fill = draft.constant(np.asarray(call["value"] or 0, dtype_of(call.result)), f"{call.name}.value")
    return draft.node("Pad", [call.value(call.operand, draft), pads, fill], name=call.name)


def _upsample(**attributes: object) -> Rule:
    def rule(call: Call, draft: Draft) -> Values:
        how = attributes
        if call.arguments.get("align_corners"):
            how = attributes | {"coordinate_transformation_mode": "align_corners"}
        sizes = draft.integers(call.result.shape, f"{call.name}.sizes")
        return draft.node("Resize", [call.value(call.operand, draft), None, None, sizes], how, name=call.name)

    return rule


_RESHAPES = ("flatten", "reshape", "squeeze", "unflatten", "unsqueeze", "view")
_NEAREST = _upsample(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")
_LINEAR = _upsample(mode="linear", coordinate_transformation_mode="half_pixel")

OPERATORS: Mapping[str, Rule] = {
    **{f"aten::{name}": _reshape for name in _RESHAPES},
    "aten::cat": _concat,
    "aten::chunk": _split,
    "aten::constant_pad_nd": _pad,
    "aten::expand": _expand,
    "aten::pad": _pad,
    "aten::permute": _permute,
    "aten::select": _select,
    "aten::slice": _slice,
    "aten::split": _split,
    "aten::split_with_sizes": _split,
    "aten::t": _matrix_transpose,
    "aten::transpose": _transpose,
    "aten::upsample_bilinear2d": _LINEAR,
    "aten::upsample_nearest2d": _NEAREST,
    "quantized::cat": _concat,
    "quantized::cat_relu": with_relu(_concat),
}
