"""From ranges and weights to scales and zero points: 8 bits."""

import numpy as np
from numpy.typing import NDArray

from openwork.errors import CalibrationError
from openwork.graph import QuantParams
from openwork.quantization.observers import Range

# Keeps the product of an input's and a weight's scale a normal float32.
_SMALLEST_SCALE = 2.0**-60
# Leaves as much of the int32 accumulator to the products as to the bias.
_LARGEST_BIAS = 2**30


def activation_params(observed: Range) -> QuantParams:
    """Per tensor, asymmetric, uint8. Real zero is exact: the range is widened to hold it.

    Args:
        observed: smallest and largest value. A tensor that never left zero gets the scale 1.
    Raises: CalibrationError: not finite, or upside down.
    """
    if not np.isfinite(observed).all() or observed[0] > observed[1]:
        raise CalibrationError(f"range {observed}: not finite or upside down; calibrate again")
    low, high = min(observed[0], 0.0), max(observed[1], 0.0)
    scale = np.float32(_positive(np.array((high - low) / 255)))
    return QuantParams(
        scale=scale.reshape(1),
        zero_point=np.rint(-low / scale).clip(0, 255).astype(np.int32).reshape(1),
        signed=False,
    )


def weight_params(
    weight: NDArray[np.float32], axis: int, bias: NDArray[np.float32] | None, input_scale: np.float32
) -> QuantParams:
    """Per output channel, symmetric, int8: zeros stay zeros, the largest magnitude becomes 127.

    A channel of (nearly) nothing but zeros gets a scale with which its bias fits int32, or 1 without bias.

    Args:
        weight: any rank, channels along `axis`.
        bias: float32[channels].
        input_scale: of the activation; bias integers count in units of input_scale * scale.
    """
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.abs(weight).max(axis=others).astype(np.float64) / 127
    if bias is not None:
        scale = np.maximum(scale, np.abs(bias) / (np.float64(input_scale) * _LARGEST_BIAS))
    scale = _positive(scale).astype(np.float32)
    return QuantParams(scale=scale, zero_point=np.zeros(scale.shape, np.int32), axis=axis)


def bias_integers(bias: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.int32]:
    """Biases in units of the accumulator's scale, input scale * weight scale; both [channels]."""
    return np.rint(bias.astype(np.float64) / scale).astype(np.int32)


def _positive(scale: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(scale == 0, 1.0, np.maximum(scale, _SMALLEST_SCALE))
