"""Elementwise steps: they run over planes and plain tensors alike."""

from math import prod

import numpy as np

from openwork.backends.cpu.layout import LANE, Planes
from openwork.backends.cpu.plan import Address, Place, Plan, Value, stored_zero_point
from openwork.backends.cpu.steps.copying import broadcast
from openwork.backends.cpu.steps.descriptors import ITEMS_A_THREAD, add_scales, is_fixed, requantize, zero_point
from openwork.lowering import Add, Dequantize, Quantize, Requantize, RequantizeAdd, Rescale


def map_elements(plan: Plan, kernel: str, inputs: list[Address], output: Address, count: int, **fields: Value) -> None:
    items = max(1, min(ITEMS_A_THREAD * plan.threads, count // 4096))
    plan.call(kernel, {"input": inputs, "output": output, "count": count, "items": items, **fields}, items)


def _elementwise(plan: Plan, kernel: str, inputs: list[Place], output: Place, **fields: Value) -> None:
    """A map over equally laid out places, over their padding too."""
    layout = output.layout
    per_lane = 1 if not isinstance(layout, Planes) else layout.deep
    count = layout.nbytes // LANE * per_lane if isinstance(layout, Planes) else prod(layout.shape)
    map_elements(plan, kernel, [place.address for place in inputs], output.address, count, **fields)


def integer_add(plan: Plan, step: Add) -> None:
    shape = plan.program.buffers[step.output].shape
    to = step.requantize
    assert to is not None
    same = all(plan.shape(name) == shape for name in step.inputs)
    if same and any(map(plan.is_planar, step.inputs)) and _keeps_padding(to):
        inputs = [
            plan.planar(name, stored_zero_point(zero, plan.dtype(name)))
            for name, zero in zip(step.inputs, to.zero_points, strict=True)
        ]
        target = plan.new_planar(step.output, zero_point(plan, to, step.output))
    else:
        inputs = [broadcast(plan, plan.plain(name), shape) for name in step.inputs]
        target = plan.new_plain(step.output)
    kernel = "u8_add_fixed" if is_fixed(to) else "u8_add"
    _elementwise(plan, kernel, inputs, target, add=add_scales(plan, step, None))


def _keeps_padding(to: Requantize | RequantizeAdd) -> bool:
    """Whether padding in gives padding out: zero lies within the bounds."""
    return to.low <= to.zero_point <= to.high


def rescale(plan: Plan, step: Rescale) -> None:
    to = step.requantize
    zero = stored_zero_point(step.input_zero_point, plan.dtype(step.input))
    if plan.is_planar(step.input) and _keeps_padding(to):
        source = plan.planar(step.input, zero)
        target = plan.new_planar(step.output, zero_point(plan, to, step.output))
    else:
        source, target = plan.plain(step.input), plan.new_plain(step.output)
    fields: dict[str, Value] = {
        "input_zero_point": float(zero),
        "requantize": requantize(plan, to, plan.dtype(step.output), 1),
    }
    _elementwise(plan, "u8_rescale_fixed" if is_fixed(to) else "u8_rescale", [source], target, **fields)


def convert(plan: Plan, step: Quantize | Dequantize) -> None:
    source = plan.plain(step.input)
    target = plan.new_plain(step.output)
    integers = step.output if isinstance(step, Quantize) else step.input
    dtype = plan.dtype(integers)
    fields: dict[str, Value] = {"scale": step.scale, "zero_point": float(stored_zero_point(step.zero_point, dtype))}
    if isinstance(step, Dequantize):
        kernel = {"int16": "i16_dequantize", "uint16": "u16_dequantize"}.get(dtype, "f32_dequantize")
    elif dtype in ("int16", "uint16"):
        kernel, limits = "x16_quantize", np.iinfo(dtype)
        fields |= {"low": float(limits.min), "high": float(limits.max)}
    else:
        kernel = "u8_quantize"
    _elementwise(plan, kernel, [source], target, **fields)
