"""Which float steps between Dequantize and Quantize become steps on integers, and with what numbers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod

import numpy as np
from numpy.typing import NDArray

from openwork.lowering.draft import Draft
from openwork.lowering.program import (
    UNBOUNDED,
    Add,
    AddScales,
    AveragePool,
    Bounds,
    Clip,
    Concat,
    Conv,
    Dequantize,
    Float32Scale,
    FullyConnected,
    MaxPool,
    Mean,
    Quantize,
    Requantize,
    Rescale,
    Reshape,
    Step,
    Transpose,
    step_inputs,
)


class StaysFloat(Exception):  # noqa: N818 - a decision, which never leaves this file
    """Why a step cannot run on integers."""


@dataclass(frozen=True)
class Coding:
    """How a tensor's integers stand for reals, per tensor; low and high are what its integers may be."""

    scale: float
    zero_point: int
    dtype: str
    low: int
    high: int

    @property
    def farthest(self) -> int:
        """The largest distance of an integer from the zero point."""
        return max(self.high - self.zero_point, self.zero_point - self.low)

    def quantize(self, real: float) -> int:
        with np.errstate(over="ignore"):  # a bound of a Clip may be the largest float32 there is
            whole = np.rint(np.float32(real) / np.float32(self.scale)) + np.float32(self.zero_point)
        return int(np.clip(whole, self.low, self.high))

    def within(self, bounds: Bounds) -> "Coding":
        """The same coding, its integers limited to what stands for the reals in `bounds`."""
        return replace(self, low=self.quantize(bounds.low), high=self.quantize(bounds.high))


@dataclass(frozen=True)
class Site:
    """A float step with integers all around it.

    inputs: name and coding of the integers behind each of its inputs.
    output: name of the integers in front of it, and their coding, limited by a Clip in between.
    """

    step: Step
    inputs: tuple[tuple[str, Coding], ...]
    output: tuple[str, Coding]


def use_integers(draft: Draft) -> None:
    """Let each step of a draft that stands between Dequantize and Quantize compute on the integers.

    before: x = Dequantize(x_q); y = Conv(x); z = Clip(y); z_q = Quantize(z)      the Clip may be missing
    after:  z_q = Conv(x_q)

    Requires: y and z are read by nothing else and are no outputs. A step that cannot be proved to fit into
    integers stays float. The Dequantize stays too: other steps may read it.
    """
    writers = {step.output: step for step in draft.steps}
    reads = Counter(chain(draft.outputs, chain.from_iterable(step_inputs(step) for step in draft.steps)))
    replaced: dict[str, Sequence[Step]] = {}
    for quantize in (step for step in draft.steps if isinstance(step, Quantize)):
        site = _site(quantize, writers, reads, draft)
        if site is None:
            continue
        try:
            steps = _on_integers(site, draft)
        except StaysFloat as reason:
            draft.notes.append(f"{type(site.step).__name__} {site.step.name!r} computes in float32: {reason}")
        else:
            replaced |= {quantize.output: (), quantize.input: (), site.step.output: steps}
    draft.steps = [new for step in draft.steps for new in replaced.get(step.output, (step,))]


def _site(quantize: Quantize, writers: Mapping[str, Step], reads: Mapping[str, int], draft: Draft) -> Site | None:
    step, bounds = writers.get(quantize.input), UNBOUNDED
    if isinstance(step, Clip):
        before = writers.get(step.input)
        if not isinstance(before, Dequantize):
            bounds = step.bounds
            step = before
    if step is None or reads[quantize.input] != 1 or reads[step.output] != 1:
        return None
    sources = [writers.get(name) for name in step_inputs(step)]
    inputs = [
        (source.input, _coding(source, draft.buffers[source.input].dtype))
        for source in sources
        if isinstance(source, Dequantize)
    ]
    if len(inputs) != len(sources):
        return None
    coding = _coding(quantize, draft.buffers[quantize.output].dtype).within(bounds)
    return Site(step, tuple(inputs), (quantize.output, coding))


def _coding(step: Quantize | Dequantize, dtype: str) -> Coding:
    limits = np.iinfo(dtype)
    return Coding(step.scale, step.zero_point, dtype, int(limits.min), int(limits.max))


def _on_integers(site: Site, draft: Draft) -> Sequence[Step]:
    """The steps that take the place of a site. Raises: StaysFloat: it has no integer form, or no proof."""
    match site.step:
        case Conv() | FullyConnected():
            return [_weighted(site.step, site, draft)]
        case Add():
            return [_add(site.step, site, draft)]
        case Mean():
            count = prod(draft.buffers[site.step.input].shape[axis] for axis in site.step.axes)
            return [_averaged(site.step, count, site)]
        case AveragePool():
            return [_averaged(site.step, prod(site.step.kernel), site)]
        case MaxPool() | Transpose() | Reshape():
            return _moved(site.step, site, draft)
        case Concat():
            return _concatenated(site.step, site, draft)
        case Clip():
            return [_clipped(site.step, site)]
    raise StaysFloat("it has no integer form")


def _weighted(step: Conv | FullyConnected, site: Site, draft: Draft) -> Step:
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
        requantize=_requantize(x, y, weight.params.scale),
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


def requantize_scale(input_scale: float, weight_scale: NDArray[np.float32], output_scale: float) -> NDArray[np.float32]:
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


ONE = np.ones(1, np.float32)


def _requantize(x: Coding, y: Coding, weight_scale: NDArray[np.float32] = ONE) -> Requantize:
    return Float32Scale(requantize_scale(x.scale, weight_scale, y.scale), y.zero_point, y.low, y.high)


def _add(step: Add, site: Site, draft: Draft) -> Step:
    ((a_name, a), (b_name, b)), (target, y) = site.inputs, site.output
    if len({draft.buffers[name].shape for name in (a_name, b_name, target)}) > 1:
        raise StaysFloat("integers are added without broadcasting")
    scales = (requantize_scale(a.scale, ONE, y.scale).item(), requantize_scale(b.scale, ONE, y.scale).item())
    requantize = AddScales(scales, (a.zero_point, b.zero_point), y.zero_point, y.low, y.high)
    return replace(step, inputs=(a_name, b_name), output=target, requantize=requantize)


def _averaged(step: Mean | AveragePool, count: int, site: Site) -> Step:
    [(source, x)], (target, y) = site.inputs, site.output
    if x.farthest * count >= 2**31:
        raise StaysFloat("its int32 accumulator could overflow")
    return replace(step, input=source, output=target, input_zero_point=x.zero_point, requantize=_requantize(x, y))


def _moved(step: MaxPool | Transpose | Reshape, site: Site, draft: Draft) -> Sequence[Step]:
    """Integers moved as they are, and rescaled afterwards where the output is coded differently."""
    [(source, x)], (target, y) = site.inputs, site.output
    if x == y:
        return [replace(step, input=source, output=target)]
    between = draft.add_buffer(f"{target}/{step.name}", draft.buffers[target].shape, x.dtype)
    moved = replace(step, input=source, output=between)
    return [moved, Rescale(f"{step.name}/rescale", between, target, x.zero_point, _requantize(x, y))]


def _concatenated(step: Concat, site: Site, draft: Draft) -> Sequence[Step]:
    """Each input that is coded differently than the output is rescaled first."""
    target, y = site.output
    rescales: list[Step] = []
    names = []
    for index, (source, x) in enumerate(site.inputs):
        if x == y:
            names.append(source)
            continue
        names.append(draft.add_buffer(f"{source}/{step.name}", draft.buffers[source].shape, y.dtype))
        name = f"{step.name}/rescale{index}"
        rescales.append(Rescale(name, source, names[-1], x.zero_point, _requantize(x, y)))
    return [*rescales, replace(step, inputs=tuple(names), output=target)]


def _clipped(step: Clip, site: Site) -> Step:
    [(source, x)], (target, y) = site.inputs, site.output
    return Rescale(step.name, source, target, x.zero_point, _requantize(x, y.within(step.bounds)))
