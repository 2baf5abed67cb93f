"""From ranges and weights to scales, zero points and integers."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from openwork.errors import CalibrationError
from openwork.graph import QuantParams
from openwork.quantization.calibration import Range
from openwork.quantization.scales import power_of_two_above, symmetric_scale
from openwork.quantization.strategies import Scheme

# Keeps the product of an input's and a weight's scale a normal float32.
_SMALLEST_SCALE = 2.0**-60
# Leaves as much of the int32 accumulator to the products as to the bias.
_LARGEST_BIAS = 2**30
# Products of 16 bits need a wider accumulator anyway; the bias itself stays int32, to a rounding of float32.
_LARGEST_BIAS_OF_16_BITS = 2**31 - 2**9


def activation_params(observed: Range, scheme: Scheme) -> QuantParams:
    """Per tensor. Real zero is exact: the range is widened to hold it.

    Args:
        observed: smallest and largest value. A tensor that never left zero gets the scale 1.
    Raises: CalibrationError: not finite, or upside down.
    """
    if not np.isfinite(observed).all() or observed[0] > observed[1]:
        raise CalibrationError(f"range {observed}: not finite or upside down; calibrate again")
    low, high = min(observed[0], 0.0), max(observed[1], 0.0)
    if scheme.scale != "affine":
        return _params(_symmetric_scale(np.array([max(-low, high)]), scheme), scheme)
    smallest, largest = (-(1 << (scheme.bits - 1)) if scheme.signed else 0), (1 << scheme.bits) - 1
    scale = _positive(np.array([(high - low) / largest])).astype(np.float32)
    zero_point = (np.rint(-low / scale).clip(0, largest) + smallest).astype(np.int32)
    return QuantParams(scale, zero_point, bits=scheme.bits, signed=scheme.signed)


def weight_params(
    weight: NDArray[np.float32],
    axis: int | None,
    bias: NDArray[np.float32] | None,
    input_scale: np.float32,
    scheme: Scheme,
) -> QuantParams:
    """Symmetric, per output channel or for the whole weight: zeros stay zeros.

    A channel of (nearly) nothing but zeros gets a scale with which its bias fits int32, or 1 without bias.

    Args:
        weight: any rank, channels along `axis`; None for one scale in all.
        bias: float32[channels].
        input_scale: of the activation; bias integers count in units of input_scale * scale.
    """
    others = tuple(i for i in range(weight.ndim) if i != axis)
    largest = np.abs(weight).max(axis=others, initial=0).astype(np.float64).reshape(-1)
    scale = _symmetric_scale(largest, scheme)
    if bias is not None:
        most = _LARGEST_BIAS if scheme.bits < 16 else _LARGEST_BIAS_OF_16_BITS
        biases = np.abs(bias).astype(np.float64) if axis is not None else np.abs(bias).max(initial=0).reshape(1)
        needed = biases / (np.float64(input_scale) * most)
        if scheme.scale == "power_of_two":
            needed = power_of_two_above(needed)
        scale = np.where(largest > 0, np.maximum(scale, needed), _positive(needed))
    return _params(scale, scheme, axis)


def weight_integers(weight: NDArray[np.float32], params: QuantParams, headroom: int = 0) -> NDArray[Any]:
    """Integers of a weight, as far below zero as above; headroom: as in its `Scheme`."""
    highest = params.high >> headroom
    return np.clip(params.quantize(weight), -highest, highest)


def bias_integers(bias: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.int32]:
    """Biases in units of the accumulator's scale, input scale * weight scale; [channels], scale also [1]."""
    return np.rint(bias.astype(np.float64) / scale).astype(np.int32)


def _symmetric_scale(largest: NDArray[np.float64], scheme: Scheme) -> NDArray[np.float64]:
    """The scale of each largest magnitude; never zero."""
    return _positive(symmetric_scale(largest, scheme.highest, scheme.scale))


def _params(scale: NDArray[np.float64], scheme: Scheme, axis: int | None = None) -> QuantParams:
    return QuantParams(
        scale=scale.astype(np.float32),
        zero_point=np.zeros(scale.shape, np.int32),
        axis=axis,
        bits=scheme.bits,
        signed=scheme.signed,
    )


def _positive(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(scale == 0, 1.0, np.maximum(scale, _SMALLEST_SCALE))
