"""From one coding to another: the integer arithmetic of each rounding, made from the float32 scales of a model."""

from collections.abc import Sequence
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.arithmetic import dequantized, rounded
from openwork.lowering.fixed_point import divided_by, multiplier_of
from openwork.lowering.integers.site import Coding, Site, StaysFloat
from openwork.lowering.requantize import (
    Q31,
    AddQ31,
    AddScales,
    AddShift,
    Float32Scale,
    ProductScale,
    Requantize,
    RequantizeAdd,
    RequantizeMean,
    RequantizeProduct,
    Shift,
    WholeMean,
)
from openwork.lowering.steps import Lookup, Rescale

ONE = np.ones(1, np.float32)
Float64 = NDArray[np.float64]


def requantize(
    site: Site, x: Coding, y: Coding, weight_scale: NDArray[np.float32] = ONE, *, product_in_float32: bool = False
) -> Requantize:
    """From products of x's integers and weights to y's integers, as the model of a site wants them rounded.

    Args:
        product_in_float32: whether input scale * weight scale is rounded to float32 first; it counts in Q31 only,
            where TensorFlow Lite does so for fully connected layers with one scale.
    Raises: StaysFloat: a scale does not fit the rounding.
    """
    match site.rounding:
        case "float32":
            return Float32Scale(_float32_scale(x.scale, weight_scale, y.scale), y.zero_point, y.low, y.high)
        case "q31":
            product = np.float64(x.scale) * weight_scale.astype(np.float64)
            if product_in_float32:
                product = product.astype(np.float32).astype(np.float64)
            return _q31(product / np.float64(y.scale), y)
        case "shift":
            product = np.float64(x.scale) * weight_scale.astype(np.float64)
            return Shift(-exponents(product, y.scale), y.zero_point, y.low, y.high)
        case never:
            assert_never(never)


def rescaled(name: str, source: str, target: str, site: Site, x: Coding, y: Coding) -> Rescale | Lookup:
    """The step from x's integers to y's, which stand for the same reals.

    Between two scales ONNX rounds twice: the product of integer and scale to float32, and what that is in steps of the
    other scale. One multiplication with the ratio of the scales gives other integers at some ties. All integers are
    tried; where one differs those of 8 bits are looked up.

    Raises: StaysFloat: a scale does not fit the rounding.
    """
    if site.rounding != "float32":
        return Rescale(name, source, target, x.zero_point, requantize(site, x, y))
    integers = np.arange(2**x.bits, dtype=f"uint{x.bits}").view(x.dtype)
    with np.errstate(over="ignore"):
        reals = dequantized(integers, x.zero_point, x.scale) / np.float32(y.scale)
    exact = rounded(reals, y.zero_point, y.low, y.high)
    try:
        to = requantize(site, x, y)
        if np.array_equal(to.apply(integers.astype(np.int32) - x.zero_point), exact):
            return Rescale(name, source, target, x.zero_point, to)
    except StaysFloat:  # the ratio does not fit; the integers do
        pass
    if (x.bits, y.bits) != (8, 8):
        raise StaysFloat("one multiplication does not round as its two scales do")
    return Lookup(name, source, target, exact.astype(y.dtype))


def requantize_mean(site: Site, x: Coding, y: Coding, count: int) -> RequantizeMean:
    """From sums of x's integers, less their zero point, to y's integers for their mean.

    Raises: StaysFloat. A `WholeMean` keeps x's coding, so that a Rescale must follow where y's is another.
    """
    match site.rounding:
        case "float32":
            return Float32Scale(_float32_scale(x.scale, ONE, y.scale), y.zero_point, y.low, y.high)
        case "q31":
            by = divided_by(multiplier_of(x.scale / y.scale), count)
            return Q31(np.array([by.mantissa], np.int32), np.array([by.shift], np.int32), y.zero_point, y.low, y.high)
        case "shift":
            return whole_mean(x)
        case never:
            assert_never(never)


def whole_mean(x: Coding) -> WholeMean:
    """The mean in the coding of what it is the mean of."""
    return WholeMean(x.zero_point, x.low, x.high)


def requantize_product(site: Site, a: Coding, b: Coding, y: Coding) -> RequantizeProduct:
    """From products of a's and b's integers to y's integers. Raises: StaysFloat."""
    scale = np.array([b.scale], np.float32)
    if site.rounding == "float32":
        return ProductScale(_float32_scale(a.scale, scale, y.scale).item(), y.zero_point, y.low, y.high)
    to = requantize(site, a, y, scale)
    assert not isinstance(to, Float32Scale)
    return to


def requantize_add(
    site: Site, a: Coding, b: Coding, y: Coding, *, subtract: bool = False, last: int = 0
) -> RequantizeAdd:
    """From a's and b's integers to y's integers for their sum or difference.

    Args:
        last: which operand is added last; it counts in floats only.
    Raises: StaysFloat.
    """
    zeros = (a.zero_point, b.zero_point)
    signs = (1, -1 if subtract else 1)
    match site.rounding:
        case "float32":
            scales = [_float32_scale(x.scale, ONE, y.scale).item() for x in (a, b)]
            to = AddScales((scales[0], signs[1] * scales[1]), zeros, y.zero_point, y.low, y.high, last)
            if not np.isfinite(to.offset):
                raise StaysFloat("its requantization scale does not fit float32")
            return to
        case "q31":
            left = 20 if max(a.bits, b.bits) == 8 else 15
            if max(a.farthest, b.farthest) << left >= 2**31:
                raise StaysFloat("its int32 accumulator could overflow")
            twice = 2.0 * max(a.scale, b.scale)
            inputs = (multiplier_of(a.scale / twice), multiplier_of(b.scale / twice))
            output = multiplier_of(twice / ((1 << left) * y.scale))
            return AddQ31(inputs, output, left, signs, zeros, y.zero_point, y.low, y.high)
        case "shift":
            finer = min(a.scale, b.scale)
            lefts = (exponent(a.scale, finer), exponent(b.scale, finer))
            if sum(x.farthest << left for x, left in zip((a, b), lefts, strict=True)) >= 2**31:
                raise StaysFloat("its int32 accumulator could overflow")
            return AddShift(lefts, -exponent(finer, y.scale), signs, zeros, y.zero_point, y.low, y.high)
        case never:
            assert_never(never)


def _float32_scale(input_scale: float, weight_scale: NDArray[np.float32], output_scale: float) -> NDArray[np.float32]:
    """input scale * weight scale / output scale in float32, rounded after each operation.

    This is onnxruntime's order, and gives its integers. One rounding would be nearer to the truth, but the few
    integers that differ grow into a cosine distance of 2e-3 after 50 layers.

    Raises: StaysFloat: it is too large or too small for a normal float32.
    """
    with np.errstate(over="ignore", under="ignore"):
        scale = np.float32(input_scale) * weight_scale / np.float32(output_scale)
    limits = np.finfo(np.float32)
    if not ((scale >= limits.tiny) & (scale <= limits.max)).all():
        raise StaysFloat("its requantization scale does not fit float32")
    return scale


def _q31(real: Float64, y: Coding) -> Q31:
    multipliers = [multiplier_of(scale) for scale in real.tolist()]
    if max(each.shift for each in multipliers) > 30:
        raise StaysFloat("its requantization scale does not fit a multiplier of 31 bits")
    mantissas, shifts = ([each.mantissa for each in multipliers], [each.shift for each in multipliers])
    return Q31(np.array(mantissas, np.int32), np.array(shifts, np.int32), y.zero_point, y.low, y.high)


def exponents(scale: Float64 | Sequence[float], unit: float) -> NDArray[np.int32]:
    """The whole numbers e with scale = unit * 2^e, exactly. Raises: StaysFloat: there are none."""
    mantissa, exponent = np.frexp(np.asarray(scale, np.float64))
    unit_mantissa, unit_exponent = np.frexp(np.float64(unit))
    if (mantissa != unit_mantissa).any():
        raise StaysFloat("its scales are no powers of two apart, which rounding by shifts needs")
    return (exponent - unit_exponent).astype(np.int32)


def exponent(scale: float, unit: float) -> int:
    """The same of one scale."""
    return int(exponents([scale], unit)[0])
