"""How far a float32 result of one step may lie from the exact one, element by element.

`evaluated` computes a step on its float32 inputs in float64, where nothing is rounded that matters, and bounds what
any order of float32 operations can make of it. A sum of n products, added up in whatever order, fused or not:

    |float32 result - exact result| <= gamma(n) * sum of |product|        gamma(n) = n u / (1 - n u), u = 2^-24

Products that are zero are exact and do not count. So the meaning of a step serves three times: on its inputs it gives
the exact result, on their absolute values the sum of |product|, on ones where they are not zero the length n. Results
that are tiny beside others, or differences of what is nearly equal, have the bound that is theirs.

Source: Higham 2002, Accuracy and Stability of Numerical Algorithms, chapters 3 and 4.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.deploy.proof.parts import Product, parts
from openwork.lowering import Buffer, Program, Step
from openwork.lowering import steps as lowered
from openwork.lowering.arithmetic import UNBOUNDED, Array, Values

UNIT = 2.0**-24  # u: half the distance from 1 to the next float32
SMALLEST_NORMAL = 2.0**-126
_SMALLEST = 2.0**-149

# Kernels' exponentials are right to about three units in the last place, functions made of them to a few more.
_FUNCTION = 12 * UNIT
_EXPONENTIAL = 6 * UNIT
# Of functions that add 1 to something that may be near -1, the error that is left, beside the input's size.
_CANCELLING = {"gelu": 4 * UNIT, "gelu_tanh": 6 * UNIT}


@dataclass(frozen=True)
class Evaluation:
    """What a step should give. value: float64, the exact result. bound: likewise, how far from it is right."""

    value: NDArray[np.float64]
    bound: NDArray[np.float64]


def evaluated(step: Step, values: Values, buffer: Buffer, places: NDArray[np.int64]) -> Evaluation:
    """Compute one step whose last bits are open.

    Args:
        step: one of which `tolerance.arithmetic_of` is FLOAT. values: float32, of what it reads and its constants.
        buffer: of its output. places: which of the elements, counted row-major, are wanted.
    """
    with np.errstate(all="ignore"):
        if isinstance(step, lowered.Conv | lowered.FullyConnected | lowered.MatMul):
            value, bound = _sums_of_products(step, values, buffer, places)
        else:
            whole = step.compute(_Mapped(values, _exact), buffer)
            value = whole.ravel()[places]
            bound = np.broadcast_to(_bound(step, values, buffer, whole), whole.shape).ravel()[places]
    # Rounding to float32 at the end, and numbers so small that float32 has no bits left for them.
    return Evaluation(value, bound + UNIT * np.abs(value) + _SMALLEST)


def gamma(length: Array | int) -> Array:
    """The relative error of `length` roundings."""
    most = np.minimum(np.asarray(length, np.float64) * UNIT, 0.5)
    return most / (1 - most)


def length(step: Step, program: Program) -> int:
    """How many terms a result of a step is a sum of, counting zeros; a few for functions."""
    first = step.reads[0]
    shape = (program.constants[first] if first in program.constants else program.buffers[first]).shape
    match step:
        case lowered.Conv() | lowered.FullyConnected():
            return prod(program.constants[step.weight].shape[1:])
        case lowered.MatMul():
            return shape[-1]
        case lowered.AveragePool():
            return prod(step.kernel)
        case lowered.Mean() | lowered.Reduce() | lowered.Normalize():
            return prod(shape[axis] for axis in step.axes)
        case lowered.Softmax():
            return shape[step.axis]
    return 16


def _bound(step: Step, values: Values, buffer: Buffer, value: Array) -> Array:
    match step:
        case lowered.AveragePool():
            return gamma(prod(step.kernel) + 1) * step.compute(_Mapped(values, _size), buffer)
        case lowered.Mean():
            return gamma(_count(step.axes, values[step.input]) + 1) * step.compute(_Mapped(values, _size), buffer)
        case lowered.Reduce(function="sum"):
            return gamma(_count(step.axes, values[step.input])) * step.compute(_Mapped(values, _size), buffer)
        case lowered.Reduce(function="prod"):
            return gamma(_count(step.axes, values[step.input])) * np.abs(value) + SMALLEST_NORMAL
        case lowered.Resize():
            sizes = [each if each.weights is None else replace(each, weights=_size(each.weights)) for each in step.axes]
            taps = sum(each.places.shape[1] for each in step.axes)
            return gamma(taps + 1) * replace(step, axes=tuple(sizes)).compute(_Mapped(values, _size), buffer)
        case lowered.GridSample():
            # At most 16 pixels, whose weights are made of a dozen operations and add up to less than 3 in size.
            x = np.abs(values[step.inputs[0]].astype(np.float64))
            return 3 * gamma(32) * x.max(axis=tuple(range(2, x.ndim)), keepdims=True)
        case lowered.Normalize():
            return _normalize(step, values, value)
        case lowered.Softmax():
            return _softmax(step, values[step.input].astype(np.float64), value)
        case lowered.Unary():
            size = np.abs(values[step.input].astype(np.float64))
            left = _CANCELLING.get(step.function, 0) * size
            return _FUNCTION * np.abs(value) + left + SMALLEST_NORMAL * (1 + size)
        case lowered.Binary(function="pow"):
            return _FUNCTION * np.abs(value) + SMALLEST_NORMAL
    raise AssertionError(f"{type(step).__name__}: its last bits are open, but not how many")


def _sums_of_products(
    step: Product, values: Values, buffer: Buffer, places: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Results, and gamma(n) * sum of |product|; what a product may lose to underflow is left over."""
    value, bound = np.empty((2, len(places)))
    for part in parts(step, values, buffer):
        here, at = part.among(places, buffer.shape)
        value[here] = part.step.compute(_Mapped(part.values, _exact), part.buffer).ravel()[at]
        bare = part.step if isinstance(part.step, lowered.MatMul) else replace(part.step, bounds=UNBOUNDED)
        terms, sizes = (
            bare.compute(_Mapped(part.values, function), part.buffer).ravel()[at].astype(np.float64)
            for function in (_is_there, _size)
        )
        # One more for a product that is rounded before it is added, one for a bias; and the sum of sizes is itself
        # rounded: it is computed in float32, which is faster.
        relative = gamma(terms + 2)
        bound[here] = relative * (1 + relative) * sizes + terms * _SMALLEST
    if isinstance(step, lowered.Conv) and step.residual is not None:
        other = np.broadcast_to(values[step.residual.inputs[1]], buffer.shape).ravel()[places]
        value = step.residual.of(value, other.astype(np.float64))
        bound = bound + UNIT * np.abs(value)
    return value, bound


def _normalize(step: lowered.Normalize, values: Values, value: Array) -> Array:
    """Errors of the mean, of the squares' mean, of one over its root; each as it enters the next."""
    x = values[step.input].astype(np.float64)
    rounding = gamma(_count(step.axes, x) + 4)
    mean = x.mean(step.axes, keepdims=True) if step.centred else np.zeros(())
    away = x - mean
    off = UNIT * np.abs(away)
    if step.centred:
        off = off + rounding * np.abs(x).mean(step.axes, keepdims=True)
    squares = np.square(away).mean(step.axes, keepdims=True)
    squares_off = rounding * squares + (2 * np.abs(away) * off + np.square(off)).mean(step.axes, keepdims=True)
    factor = 1 / np.sqrt(squares + step.epsilon)
    smallest = np.maximum(squares - squares_off, 0) + step.epsilon
    factor_off = (1 / np.sqrt(smallest) - factor) + 4 * UNIT * factor
    scale = 1 if step.scale is None else np.abs(values[step.scale].astype(np.float64))
    bias = 0 if step.bias is None else np.abs(values[step.bias].astype(np.float64))
    scaled = (np.abs(away) + off) * (factor + factor_off) * scale
    return scale * (off * (factor + factor_off) + np.abs(away) * factor_off) + 3 * UNIT * scaled + 2 * UNIT * bias


def _softmax(step: lowered.Softmax, x: Array, value: Array) -> Array:
    """x - max(x) is rounded before it becomes an exponent: e^(d + u |d|) is off by u |d|, relatively."""
    away = np.abs(x - x.max(step.axis, keepdims=True))
    power_off = _EXPONENTIAL + UNIT * away
    shares = np.exp(value) if step.logarithm else value
    power_off_in_sum = np.where(shares > 0, shares * power_off, 0).sum(step.axis, keepdims=True)
    sum_off = power_off_in_sum + gamma(x.shape[step.axis])
    if step.logarithm:
        return UNIT * away + 2 * sum_off + 4 * UNIT * np.abs(value + away)
    return np.where(value > 0, 1.01 * value * (power_off + sum_off), 0) + SMALLEST_NORMAL


def _count(axes: tuple[int, ...], x: Array) -> int:
    return prod(x.shape[axis] for axis in axes)


class _Mapped(Mapping[str, Array]):
    """Values, each float one of them as a function has it, made when it is asked for."""

    def __init__(self, values: Values, function: Callable[[Array], Array]):
        self._values, self._function = values, function

    def __getitem__(self, name: str) -> Array:
        value = self._values[name]
        return self._function(value) if value.dtype.kind == "f" else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


def _exact(x: Array) -> Array:
    return x.astype(np.float64)


def _size(x: Array) -> Array:
    y: Array = np.abs(x)
    return y


def _is_there(x: Array) -> Array:
    return (x != 0).astype(np.float32)
