"""Integers moved as they are, and rescaled where inputs and output are coded differently."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from openwork.lowering.arithmetic import dequantized
from openwork.lowering.draft import Draft
from openwork.lowering.integers.elementwise import recoded
from openwork.lowering.integers.rescaling import rescaled
from openwork.lowering.integers.site import Site, StaysFloat, Widths, coding_of
from openwork.lowering.steps import (
    Concat,
    Dequantize,
    Expand,
    FixedResampling,
    FixedResize,
    Gather,
    IntegerResize,
    Lookup,
    MaxPool,
    Pad,
    Quantize,
    Reduce,
    Resampling,
    Rescale,
    Reshape,
    Resize,
    Slice,
    Step,
    Transpose,
)

# Steps that read one tensor and move its elements, or choose among them.
Mover = Reshape | Transpose | Slice | Expand | Pad | Resize | MaxPool | Reduce


def move_integers(draft: Draft, widths: Widths) -> None:
    """Let steps that move elements move integers, where those come out of a Dequantize.

    before: x = Dequantize(x_q); y = Reshape(x); z_q = Quantize(y)
    after:  z_q = Reshape(x_q); y = Dequantize(z_q)               if z_q is coded as x_q, else
            y_q = Reshape(x_q); z_q = Rescale(y_q) or Lookup(y_q); y = Dequantize(y_q)

    The reals are the same to the last bit. Integer tables behind a Gather stay integers.
    """
    writers: dict[str, Dequantize] = {}
    moved = _moved_before(draft)  # moved integers that only Dequantizes read: what they shall be called
    steps: list[Step] = []
    for step in draft.steps:
        source = writers.get(step.input) if isinstance(step, Quantize) else None
        if isinstance(step, Quantize) and source is not None and source.input in moved:
            steps += _quantized_anew(step, source, moved, draft, widths)
            continue
        here = _moved_integers(step, writers, draft, widths)
        steps += here or [step]
        if isinstance(steps[-1], Dequantize):
            writers[steps[-1].output] = steps[-1]
            if here:
                moved[steps[-1].input] = steps[-1].input
    draft.steps = [_renamed(step, moved) for step in steps]


def _moved_before(draft: Draft) -> dict[str, str]:
    """Integers that the graph itself moves before it dequantizes them."""
    movers = {step.output for step in draft.steps if isinstance(step, Mover)} - set(draft.outputs)
    others = {name for step in draft.steps if not isinstance(step, Dequantize) for name in step.reads}
    return {name: name for name in movers - others}


def _quantized_anew(
    step: Quantize, source: Dequantize, moved: dict[str, str], draft: Draft, widths: Widths
) -> Sequence[Step]:
    """What becomes of a Quantize behind moved integers: nothing if they are what it gives, else they are coded anew."""
    x, y = coding_of(source, draft.buffers[source.input].dtype), coding_of(step, draft.buffers[step.output].dtype)
    if not x.same_reals(y):
        if max(x.bits, y.bits) > widths.activations:
            return [step]
        site = Site(source, draft.rounding, widths, ((source.input, x),), (step.output, y))
        try:
            return [replace(recoded(source, site), name=step.name)]
        except StaysFloat as reason:
            draft.notes.append(f"Quantize {step.name!r} computes in float32: {reason}")
            return [step]
    if moved[source.input] != source.input:
        return [Reshape(step.name, source.input, step.output)]
    moved[source.input] = step.output
    return []


def _moved_integers(step: Step, writers: Mapping[str, Dequantize], draft: Draft, widths: Widths) -> Sequence[Step]:
    """The step on integers, and a Dequantize behind it; nothing where its input does not come out of one."""
    if not isinstance(step, Mover | Gather | Concat):
        return []
    names = step.inputs if isinstance(step, Concat) else step.reads[:1]
    sources = [writers.get(name) or _constant_integers(name, draft) for name in names]
    first = sources[0]
    if first is None or (names[0] not in writers and isinstance(step, Mover)):
        return []
    if any(each is None or not _alike(each, first, draft) for each in sources):
        return []
    dtype = draft.dtype_of(first.input)
    if isinstance(step, MaxPool | Reduce) and coding_of(first, dtype).bits > widths.activations:
        return []
    if not _only_moves(step):
        return []
    integers = draft.add_buffer(f"{step.output}/integers", draft.buffers[step.output].shape, dtype)
    if isinstance(step, Pad):
        padding = coding_of(first, dtype).quantize(step.value, draft.rounding)
        if step.mode == "constant" and dequantized(np.array(padding), first.zero_point, first.scale) != step.value:
            return []
        step = replace(step, value=padding)
    back = Dequantize(f"{step.name}/dequantize", integers, step.output, first.scale, first.zero_point)
    if isinstance(step, Concat):
        inputs = tuple(each.input for each in sources if each is not None)
        return [replace(step, inputs=inputs, output=integers), back]
    if isinstance(step, Gather):
        return [replace(step, inputs=(first.input, step.inputs[1]), output=integers), back]
    return [replace(step, input=first.input, output=integers), back]


def _only_moves(step: Mover | Gather | Concat) -> bool:
    """Whether every element of the result is one of the input's."""
    match step:
        case Resize():
            return all(axis.weights is None for axis in step.axes)
        case Reduce():
            return step.function in ("max", "min")
    return True


def _constant_integers(name: str, draft: Draft) -> Dequantize | None:
    """The Dequantize that a constant comes out of, where one scale is for all of it."""
    origin = draft.quantized.get(name)
    if origin is None or origin.params.axis is not None or draft.constants[origin.integers].itemsize > 1:
        return None
    return Dequantize("", origin.integers, name, origin.params.scale.item(), origin.params.zero_point.item())


def _alike(one: Dequantize, other: Dequantize, draft: Draft) -> bool:
    return (one.scale, one.zero_point, draft.dtype_of(one.input)) == (
        other.scale,
        other.zero_point,
        draft.dtype_of(other.input),
    )


def _renamed(step: Step, names: Mapping[str, str]) -> Step:
    """The step with other names for what it reads and writes."""
    changes: dict[str, object] = {}
    if isinstance(step, Mover | Dequantize | Rescale | Lookup):
        changes["input"] = names.get(step.input, step.input)
    if isinstance(step, Concat | Gather):
        changes["inputs"] = tuple(names.get(name, name) for name in step.inputs)
    return replace(step, output=names.get(step.output, step.output), **changes)  # type: ignore[arg-type]


def concatenated(step: Concat, site: Site, draft: Draft) -> Sequence[Step]:
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
        rescales.append(rescaled(name, source, names[-1], site, x, y))
    return [*rescales, replace(step, inputs=tuple(names), output=target)]


def resized(step: Resize, site: Site, draft: Draft) -> Sequence[Step]:
    """Linearly, along one axis or two adjacent ones. In fixed point the result is rescaled where it is coded anew."""
    [(source, x)], (target, y) = site.inputs, site.output
    if (x.bits, y.bits) != (8, 8):
        raise StaysFloat("it has no integer form but for 8 bits")
    axes = tuple(sorted(step.axes, key=_axis))
    linear = all(each.weights is not None and each.places.shape[1] == 2 for each in axes)
    if not linear or len(axes) > 2 or axes[-1].axis - axes[0].axis >= len(axes):
        raise StaysFloat("it has no integer form but linearly along one axis or two adjacent ones")
    if site.rounding == "float32":
        with np.errstate(over="ignore"):
            largest = np.float32(x.farthest * x.scale) / np.float32(y.scale)
        if not np.isfinite(largest):
            raise StaysFloat("its scales do not fit float32 arithmetic")
        coded = (x.scale, x.zero_point, y.scale, y.zero_point, y.low, y.high)
        return [IntegerResize(step.name, source, target, axes, *coded)]
    if step.fixed is None:
        raise StaysFloat("its coordinates have no fixed-point form")
    fixed = tuple(sorted(step.fixed, key=_axis))
    if x.same_reals(y):
        return [FixedResize(step.name, source, target, fixed, y.low, y.high)]
    middle = draft.add_buffer(f"{target}/{step.name}", draft.buffers[target].shape, x.dtype)
    return [
        FixedResize(step.name, source, middle, fixed, x.low, x.high),
        rescaled(f"{step.name}/rescale", middle, target, site, x, y),
    ]


def _axis(resampling: Resampling | FixedResampling) -> int:
    return resampling.axis
