"""Operators that move elements and compute nothing."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir
import tflite

from openwork.frontends.tflite.draft import Draft, Unsupported
from openwork.frontends.tflite.network import Operator
from openwork.frontends.tflite.operators.rule import Rule, axis_of, moves_stored, read

# Slice's word for "to the very front" where it steps backwards.
_BEFORE_THE_FIRST = np.iinfo(np.int64).min


def _reshape(op: Operator, draft: Draft) -> None:
    """RESHAPE and what else changes only the shape; the new one is the output's own."""
    stored = moves_stored(op, draft, 0)
    draft.write_shaped(op, read(op, draft, 0, stored), stored=stored)


def _transpose(op: Operator, draft: Draft) -> None:
    stored = moves_stored(op, draft, 0)
    perm = draft.array(op, 1, "permutation").reshape(-1).tolist()
    if sorted(perm) != [*range(len(draft.tensor(op, 0).shape))]:
        raise Unsupported(f"{perm} is no permutation of its axes")
    draft.write(op, draft.emit("Transpose", read(op, draft, 0, stored), perm=perm), stored=stored)


def _concatenation(op: Operator, draft: Draft) -> None:
    if op.option("FusedActivationFunction"):
        raise Unsupported("it has a fused activation function, which TFLite does not take here either")
    inputs = range(len(op.inputs))
    stored, axis = moves_stored(op, draft, *inputs), axis_of(op.option("Axis"), len(draft.result(op).shape))
    value = draft.emit("Concat", *(read(op, draft, index, stored) for index in inputs), axis=axis)
    draft.write(op, value, stored=stored)


def _pad(op: Operator, draft: Draft) -> None:
    """PAD with the integer that stands for zero, PADV2 with a number of its own."""
    stored = moves_stored(op, draft, 0) and draft.tensor(op, 0).dtype != np.int16  # which Pad does not take
    number: ir.Value | None = None
    if draft.has(op, 2):
        stored = stored and draft.tensor(op, 2).same_numbers(draft.result(op))
        number = draft.shaped(read(op, draft, 2, stored), ())
    elif stored:
        x = draft.tensor(op, 0)
        zero = x.quantization.zero_point.item() if x.quantized and x.quantization is not None else 0
        number = draft.constant(np.array(zero, x.dtype), f"{op.label}/zero")
    value = draft.emit("Pad", read(op, draft, 0, stored), draft.integers(_pads(op, draft), "pads"), number)
    draft.write(op, value, stored=stored)


def _mirror_pad(op: Operator, draft: Draft) -> None:
    stored = moves_stored(op, draft, 0) and draft.tensor(op, 0).dtype != np.int16
    pads, mode = _pads(op, draft), "reflect"
    if op.option("Mode") == tflite.MirrorPadMode.SYMMETRIC:
        if max(pads, default=0) > 1:
            raise Unsupported("it pads symmetrically by more than one; ONNX has no such mode")
        mode = "edge"  # one element is mirrored onto its neighbour
    value = draft.emit("Pad", read(op, draft, 0, stored), draft.integers(pads, "pads"), mode=mode)
    draft.write(op, value, stored=stored)


def _pads(op: Operator, draft: Draft) -> list[int]:
    """[rank, 2] in the file; all begins, then all ends, in ONNX."""
    pads = draft.array(op, 1, "padding").reshape(len(draft.tensor(op, 0).shape), 2)
    if (pads < 0).any():
        raise Unsupported("it pads by less than nothing")
    return [*pads[:, 0].tolist(), *pads[:, 1].tolist()]


def _strided_slice(op: Operator, draft: Draft) -> None:
    if op.option("EllipsisMask") or op.option("NewAxisMask") or op.option("Offset"):
        raise Unsupported("it has an ellipsis, a new axis or offsets")
    shape = draft.tensor(op, 0).shape
    begins, ends, steps = (
        draft.array(op, index, what).reshape(-1).tolist() for index, what in ((1, "begin"), (2, "end"), (3, "strides"))
    )
    if not len(begins) == len(ends) == len(steps) <= len(shape) or 0 in steps:
        raise Unsupported(f"begin {begins}, end {ends} and strides {steps} do not fit {list(shape)}")
    slices = []
    for axis, (begin, end, step) in enumerate(zip(begins, ends, steps, strict=True)):
        if op.option("ShrinkAxisMask") >> axis & 1:
            begin %= shape[axis]
            slices.append(slice(begin, begin + 1, 1))
        else:
            begin = None if op.option("BeginMask") >> axis & 1 else begin
            end = None if op.option("EndMask") >> axis & 1 else end
            slices.append(slice(begin, end, step))
    _slice_by(op, draft, slices)


def _slice(op: Operator, draft: Draft) -> None:
    begins, sizes = draft.array(op, 1, "begin").reshape(-1), draft.array(op, 2, "size").reshape(-1)
    pairs = zip(begins.tolist(), sizes.tolist(), strict=True)
    _slice_by(op, draft, [slice(begin, None if size < 0 else begin + size, 1) for begin, size in pairs])


def _slice_by(op: Operator, draft: Draft, slices: Sequence[slice]) -> None:
    stored = moves_stored(op, draft, 0)
    shape = draft.tensor(op, 0).shape
    ranges = [part.indices(size) for part, size in zip(slices, shape, strict=False)]
    value = draft.emit(
        "Slice",
        read(op, draft, 0, stored),
        draft.integers([begin for begin, _, _ in ranges], "starts"),
        draft.integers([end if end >= 0 else _BEFORE_THE_FIRST for _, end, _ in ranges], "ends"),
        draft.integers(range(len(ranges)), "axes"),
        draft.integers([step for _, _, step in ranges], "steps"),
    )
    if len(draft.result(op).shape) == len(shape):
        draft.write(op, value, stored=stored)
    else:
        draft.write_shaped(op, value, stored=stored)


def _split(op: Operator, draft: Draft) -> None:
    _split_along(op, draft, 1, draft.array(op, 0, "axis"))


def _split_v(op: Operator, draft: Draft) -> None:
    _split_along(op, draft, 0, draft.array(op, 2, "axis"))


def _split_along(op: Operator, draft: Draft, x: int, number: np.ndarray) -> None:
    axis = axis_of(int(number.reshape(())), len(draft.tensor(op, x).shape))
    stored = moves_stored(op, draft, x)
    rank = len(draft.tensor(op, x).shape)
    sizes = [draft.result(op, index, rank).shape[axis] for index in range(len(op.outputs))]
    parts = draft.emit_many("Split", len(sizes), read(op, draft, x, stored), draft.integers(sizes, "sizes"), axis=axis)
    for index, part in enumerate(parts):
        draft.write(op, part, index=index, stored=stored)


def _pack(op: Operator, draft: Draft) -> None:
    inputs, shape = range(len(op.inputs)), draft.result(op).shape
    stored, axis = moves_stored(op, draft, *inputs), axis_of(op.option("Axis"), len(shape))
    part = (*shape[:axis], 1, *shape[axis + 1 :])
    parts = [draft.shaped(read(op, draft, index, stored), part) for index in inputs]
    draft.write(op, draft.emit("Concat", *parts, axis=axis), stored=stored)


def _unpack(op: Operator, draft: Draft) -> None:
    stored, shape = moves_stored(op, draft, 0), draft.tensor(op, 0).shape
    axis = axis_of(op.option("Axis"), len(shape))
    sizes = draft.integers([1] * len(op.outputs), "sizes")
    parts = draft.emit_many("Split", len(op.outputs), read(op, draft, 0, stored), sizes, axis=axis)
    for index, part in enumerate(parts):
        draft.write_shaped(op, part, index=index, stored=stored)


def _gather(op: Operator, draft: Draft) -> None:
    if op.option("BatchDims", 0):
        raise Unsupported("it gathers by batch")
    stored, axis = moves_stored(op, draft, 0), axis_of(op.option("Axis", 0), len(draft.tensor(op, 0).shape))
    value = draft.emit("Gather", read(op, draft, 0, stored), draft.stored(op, 1), axis=axis)
    draft.write(op, value, stored=stored)


def _embedding_lookup(op: Operator, draft: Draft) -> None:
    stored = moves_stored(op, draft, 1)
    value = draft.emit("Gather", read(op, draft, 1, stored), draft.stored(op, 0), axis=0)
    draft.write(op, value, stored=stored)


def _broadcast_to(op: Operator, draft: Draft) -> None:
    stored = moves_stored(op, draft, 0)
    shape = draft.integers(draft.result(op).shape, "shape")
    draft.write(op, draft.emit("Expand", read(op, draft, 0, stored), shape), stored=stored)


def _tile(op: Operator, draft: Draft) -> None:
    stored = moves_stored(op, draft, 0)
    repeats = draft.integers(draft.array(op, 1, "repeats").reshape(-1).tolist(), "repeats")
    draft.write(op, draft.emit("Tile", read(op, draft, 0, stored), repeats), stored=stored)


def _shape(op: Operator, draft: Draft) -> None:
    """Shapes are static, so this is a constant."""
    shape = np.array(draft.tensor(op, 0).shape, draft.result(op).dtype)
    draft.write(op, draft.emit("Identity", draft.constant(shape, f"{op.label}/shape")))


OPERATORS: Mapping[str, Rule] = {
    "BROADCAST_TO": _broadcast_to,
    "CONCATENATION": _concatenation,
    "EMBEDDING_LOOKUP": _embedding_lookup,
    "EXPAND_DIMS": _reshape,
    "GATHER": _gather,
    "MIRROR_PAD": _mirror_pad,
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": _reshape,
    "SHAPE": _shape,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided_slice,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
