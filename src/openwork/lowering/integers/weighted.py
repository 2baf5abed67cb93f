"""Convolutions and fully connected layers on integers."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.draft import Draft
from openwork.lowering.integers.site import Site, StaysFloat, requantize
from openwork.lowering.steps import Conv, FullyConnected, Step


def weighted(step: Conv | FullyConnected, site: Site, draft: Draft) -> Step:
    """Integer weights and bias, taken over as they are where their scales allow it."""
    [(source, x)], (target, y) = site.inputs, site.output
    weight = draft.quantized.get(step.weight)
    if weight is None or weight.params.dtype != "int8" or weight.params.zero_point.any():
        raise StaysFloat("its weight is not symmetric int8")
    if weight.params.axis not in (None, 0):
        raise StaysFloat("its weight is not quantized per output channel")
    bias = None if step.bias is None else _integer_bias(step.bias, x.scale, weight.params.scale, draft)
    largest = largest_accumulator(
        draft.constants[weight.integers], x.farthest, None if bias is None else draft.constants[bias]
    )
    if largest >= 2**31:
        raise StaysFloat("its int32 accumulator could overflow")
    return replace(
        step,
        input=source,
        output=target,
        weight=weight.integers,
        bias=bias,
        input_zero_point=x.zero_point,
        requantize=requantize(x, y, weight.params.scale),
    )


def _integer_bias(name: str, input_scale: float, weight_scale: NDArray[np.float32], draft: Draft) -> str:
    """Name of the bias as int32 at input scale * weight scale: the model's own, or rounded to it."""
    origin = draft.quantized.get(name)
    if origin is None:
        real = draft.constants[name].astype(np.float64)
    else:
        integers, params = draft.constants[origin.integers], origin.params
        at_scale = np.all(params.scale == np.float32(input_scale) * weight_scale)
        if integers.dtype == np.int32 and at_scale and not params.zero_point.any():
            return origin.integers
        real = (integers.astype(np.float64) - params.zero_point) * params.scale.astype(np.float64)
    rounded = np.rint(real / (input_scale * weight_scale.astype(np.float64)))
    if not (np.abs(rounded) < 2**31).all():
        raise StaysFloat("its bias does not fit int32")
    return draft.add_constant(f"{name}/int32", rounded.astype(np.int32))


def largest_accumulator(weight: NDArray[np.int8], farthest: int, bias: NDArray[np.int32] | None = None) -> int:
    """The largest magnitude that any sum of products, partial sums included, can have in any channel.

    Args:
        weight: int8[out, ...].
        farthest: the largest |input - zero point|.
        bias: int32[out].
    """
    sums = farthest * np.abs(weight.astype(np.int64)).reshape(len(weight), -1).sum(axis=1)
    if bias is not None:
        sums = sums + np.abs(bias.astype(np.int64))
    return int(sums.max(initial=0))
