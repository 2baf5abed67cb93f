"""Which float steps between Dequantize and Quantize become steps on integers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np

from openwork.lowering.arithmetic import UNBOUNDED
from openwork.lowering.draft import Draft
from openwork.lowering.integers.forms import on_integers
from openwork.lowering.integers.site import Coding, Site, StaysFloat
from openwork.lowering.steps import Clip, Dequantize, Quantize, Step


def use_integers(draft: Draft) -> None:
    """Let each step of a draft that stands between Dequantize and Quantize compute on the integers.

    before: x = Dequantize(x_q); y = Conv(x); z = Clip(y); z_q = Quantize(z)      the Clip may be missing
    after:  z_q = Conv(x_q)

    Requires: y and z are read by nothing else and are no outputs. A step that cannot be proved to fit into
    integers stays float. The Dequantize stays too: other steps may read it.
    """
    writers = {step.output: step for step in draft.steps}
    reads = Counter(chain(draft.outputs, chain.from_iterable(step.reads for step in draft.steps)))
    replaced: dict[str, Sequence[Step]] = {}
    for quantize in (step for step in draft.steps if isinstance(step, Quantize)):
        site = _site(quantize, writers, reads, draft)
        if site is None:
            continue
        try:
            steps = on_integers(site, draft)
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
    sources = [writers.get(name) for name in step.reads]
    inputs = [
        (source.input, _coding(source, draft.buffers[source.input].dtype))
        for source in sources
        if isinstance(source, Dequantize)
    ]
    if len(inputs) != len(sources):
        return None
    coding = _coding(quantize, draft.buffers[quantize.output].dtype).within(bounds)
    return Site(step, draft.rounding, tuple(inputs), (quantize.output, coding))


def _coding(step: Quantize | Dequantize, dtype: str) -> Coding:
    limits = np.iinfo(dtype)
    return Coding(step.scale, step.zero_point, dtype, int(limits.min), int(limits.max))
