"""Convolutions and fully connected layers on integers."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.arithmetic import Accumulator, sums_of_sizes
from openwork.lowering.draft import Draft
from openwork.lowering.integers.rescaling import requantize
from openwork.lowering.integers.site import Coding, Site, StaysFloat
from openwork.lowering.steps import Conv, FullyConnected, Step


def weighted(step: Conv | FullyConnected, site: Site, draft: Draft) -> Step:
    """Integer weights and bias, taken over as they are where their scales allow it."""
    [(source, x)], (target, y) = site.inputs, site.output
    weight = draft.quantized.get(step.weight)
    if weight is None or not weight.params.signed or weight.params.bits > 16 or weight.params.zero_point.any():
        raise StaysFloat("its weight is not symmetric int4, int8 or int16")
    if weight.params.bits > max(8, site.widths.weights):
        raise StaysFloat(f"its weight has {weight.params.bits} bits, kernels for integers take {site.widths.weights}")
    if weight.params.axis not in (None, 0):
        raise StaysFloat("its weight is not quantized per output channel")
    bias = None if step.bias is None else _integer_bias(step.bias, x.scale, weight.params.scale, draft)
    largest = largest_accumulator(
        draft.constants[weight.integers], x.farthest, None if bias is None else draft.constants[bias]
    )
    by_tensor = isinstance(step, FullyConnected) and weight.params.axis is None
    return replace(
        step,
        input=source,
        output=target,
        weight=weight.integers,
        bias=bias,
        input_zero_point=x.zero_point,
        requantize=requantize(site, x, y, weight.params.scale, product_in_float32=by_tensor),
        accumulator=_accumulator(site, x, largest),
    )


def _accumulator(site: Site, x: Coding, largest: int) -> Accumulator:
    """The narrowest that sums up to `largest` fit. TensorFlow Lite takes the wide one for all 16-bit inputs."""
    if largest < 2**31 and not (site.rounding == "q31" and x.bits == 16):
        return "int32"
    if site.widths.accumulator < 64:
        raise StaysFloat("its int32 accumulator could overflow")
    if largest >= 2**47:
        raise StaysFloat("its int64 accumulator could exceed the 47 bits that are requantized")
    return "int64"


def _integer_bias(name: str, input_scale: float, weight_scale: NDArray[np.float32], draft: Draft) -> str:
    """Name of the bias at input scale * weight scale, the model's own or rounded to it: int32, or int64 if it must."""
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
    if not (np.abs(rounded) < 2**47).all():
        raise StaysFloat("its bias does not fit 47 bits")
    dtype = "int32" if (np.abs(rounded) < 2**31).all() else "int64"
    return draft.add_constant(f"{name}/{dtype}", rounded.astype(dtype))


def largest_accumulator(weight: NDArray[np.integer], farthest: int, bias: NDArray[np.integer] | None = None) -> int:
    """The largest magnitude that any sum of products, partial sums included, can have in any channel.

    Args:
        weight: int8[out, ...] or int16[out, ...].
        farthest: the largest |input - zero point|.
        bias: int32[out] or int64[out].
    """
    sums = farthest * sums_of_sizes(weight)
    if bias is not None:
        sums = sums + np.abs(bias.astype(np.int64))
    return int(sums.max(initial=0))
