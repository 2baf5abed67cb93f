"""Operators that look along axes."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from openwork.frontends.tflite.draft import Draft
from openwork.frontends.tflite.network import Operator
from openwork.frontends.tflite.operators.rule import Rule, axis_of


def _reduction(operator: str) -> Rule:
    """Sums and their like over constant axes."""

    def rule(op: Operator, draft: Draft) -> None:
        rank = len(draft.tensor(op, 0).shape)
        axes = sorted({axis_of(int(axis), rank) for axis in draft.array(op, 1, "axes").reshape(-1)})
        value = draft.emit(
            operator,
            draft.real(op, 0),
            draft.integers(axes, "axes"),
            keepdims=int(op.option("KeepDims", False)),
            noop_with_empty_axes=1,
        )
        draft.write(op, value)

    return rule


def _softmax(op: Operator, draft: Draft) -> None:
    x, beta = draft.real(op, 0), op.option("Beta")
    if beta != 1:
        x = draft.emit("Mul", x, draft.scalar(beta))
    draft.write(op, draft.emit("Softmax", x, axis=-1))


def _log_softmax(op: Operator, draft: Draft) -> None:
    draft.write(op, draft.emit("LogSoftmax", draft.real(op, 0), axis=-1))


def _l2_normalization(op: Operator, draft: Draft) -> None:
    draft.write(op, draft.emit("LpNormalization", draft.real(op, 0), axis=-1, p=2))


def _index(operator: str) -> Rule:
    """Where the largest or smallest element lies; the first of several."""

    def rule(op: Operator, draft: Draft) -> None:
        axis = axis_of(int(draft.array(op, 1, "axis").reshape(())), len(draft.tensor(op, 0).shape))
        value = draft.emit(operator, draft.real(op, 0), axis=axis, keepdims=0)
        dtype = draft.result(op).dtype
        if dtype != np.int64:
            value = draft.emit("Cast", value, to=ir.DataType.from_numpy(dtype))
        draft.write(op, value)

    return rule


OPERATORS: Mapping[str, Rule] = {
    "ARG_MAX": _index("ArgMax"),
    "ARG_MIN": _index("ArgMin"),
    "L2_NORMALIZATION": _l2_normalization,
    "LOG_SOFTMAX": _log_softmax,
    "MEAN": _reduction("ReduceMean"),
    "REDUCE_MAX": _reduction("ReduceMax"),
    "REDUCE_MIN": _reduction("ReduceMin"),
    "REDUCE_PROD": _reduction("ReduceProd"),
    "SOFTMAX": _softmax,
    "SUM": _reduction("ReduceSum"),
}
