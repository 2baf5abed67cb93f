"""Elementwise steps: they run over planes and plain tensors alike."""

from math import prod

from openwork.backends.cpu.layout import LANE, Planes
from openwork.backends.cpu.plan import Address, Place, Plan, Value, stored_zero_point
from openwork.backends.cpu.steps.descriptors import ITEMS_A_THREAD, add_scales, bounds, requantize, zero_point
from openwork.backends.cpu.steps.moving import broadcast
from openwork.lowering import Add, AddScales, Bounds, Clip, Dequantize, Quantize, Requantize, Rescale


def map_elements(plan: Plan, kernel: str, inputs: list[Address], output: Address, count: int, **fields: Value) -> None:
    items = max(1, min(ITEMS_A_THREAD * plan.threads, count // 4096))
    plan.call(kernel, {"input": inputs, "output": output, "count": count, "items": items, **fields}, items)


def _elementwise(plan: Plan, kernel: str, inputs: list[Place], output: Place, **fields: Value) -> None:
    """A map over equally laid out places, over their padding too."""
    layout = output.layout
    per_lane = 1 if not isinstance(layout, Planes) else layout.deep
    count = layout.nbytes // LANE * per_lane if isinstance(layout, Planes) else prod(layout.shape)
    map_elements(plan, kernel, [place.address for place in inputs], output.address, count, **fields)


def add(plan: Plan, step: Add) -> None:
    shape = plan.program.buffers[step.output].shape
    to = step.requantize
    fields: dict[str, Value] = bounds(step.bounds) if to is None else {"add": add_scales(plan, step, None)}
    kernel = "f32_add" if to is None else "u8_add"
    same = all(plan.shape(name) == shape for name in step.inputs)
    if same and any(map(plan.is_planar, step.inputs)) and _keeps_padding(step.bounds, to):
        zeros = (0, 0) if to is None else to.zero_points
        inputs = [
            plan.planar(name, stored_zero_point(zero, plan.dtype(name)) if to else 0)
            for name, zero in zip(step.inputs, zeros, strict=True)
        ]
        target = plan.new_planar(step.output, 0 if to is None else zero_point(plan, to, step.output))
    else:
        inputs = [broadcast(plan, plan.plain(name), shape) for name in step.inputs]
        target = plan.new_plain(step.output)
    _elementwise(plan, kernel, inputs, target, **fields)


def _keeps_padding(bounds: Bounds, to: Requantize | AddScales | None) -> bool:
    """Whether padding in gives padding out: zero lies within the bounds."""
    return bounds.low <= 0 <= bounds.high if to is None else to.low <= to.zero_point <= to.high


def clip(plan: Plan, step: Clip) -> None:
    if plan.is_planar(step.input) and _keeps_padding(step.bounds, None):
        source, target = plan.planar(step.input), plan.new_planar(step.output)
    else:
        source, target = plan.plain(step.input), plan.new_plain(step.output)
    _elementwise(plan, "f32_clip", [source], target, **bounds(step.bounds))


def rescale(plan: Plan, step: Rescale) -> None:
    to = step.requantize
    zero = stored_zero_point(step.input_zero_point, plan.dtype(step.input))
    if plan.is_planar(step.input) and _keeps_padding(Bounds(), to):
        source = plan.planar(step.input, zero)
        target = plan.new_planar(step.output, zero_point(plan, to, step.output))
    else:
        source, target = plan.plain(step.input), plan.new_plain(step.output)
    fields: dict[str, Value] = {
        "input_zero_point": float(zero),
        "requantize": requantize(plan, to, plan.dtype(step.output), 1),
    }
    _elementwise(plan, "u8_rescale", [source], target, **fields)


def convert(plan: Plan, step: Quantize | Dequantize) -> None:
    source = plan.plain(step.input)
    target = plan.new_plain(step.output)
    integers = step.output if isinstance(step, Quantize) else step.input
    zero = stored_zero_point(step.zero_point, plan.dtype(integers))
    kernel = "u8_quantize" if isinstance(step, Quantize) else "f32_dequantize"
    _elementwise(plan, kernel, [source], target, scale=step.scale, zero_point=float(zero))
