"""The operators that `tests/roads.py` puts behind one another, beside layers and their activations.

Each function takes a road, a float tensor of it and the tensor's shape, and adds a node or a few; or nothing, where
the shape does not suit. On roads of whole numbers they give whole numbers, or fractions by powers of two.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from tests.roads import Road

Shape = tuple[int, ...]

# How many rows the table of an embedding has: integer inputs are below.
VOCABULARY = 7


def axes_of(road: Road, shape: Shape, least: int = 1) -> list[int]:
    """Some axes, in order, now and then counted from behind; never the batch where that must not be mixed."""
    first = 0 if road.mixing else 1
    if len(shape) - first < least:
        return []
    axes = sorted(road.draw(st.sets(st.integers(first, len(shape) - 1), min_size=least)))
    return [axis - len(shape) if road.chance() else axis for axis in axes]


def axis_of(road: Road, shape: Shape) -> int | None:
    """One of them."""
    axes = axes_of(road, shape)
    return road.choice(*axes) if axes else None


def whole_constant(road: Road, *numbers: int) -> str:
    return road.writer.constant(np.array(numbers, np.int64))


# ---- elementwise ----


def function(road: Road, x: str, shape: Shape) -> None:
    """A function of one number."""
    exact: list[tuple[str, dict[str, Any]]] = [
        ("Abs", {}),
        ("Neg", {}),
        ("LeakyRelu", {"alpha": 0.5}),
        ("HardSigmoid", {"alpha": 0.25, "beta": 0.5}),
    ]
    # Where these jump, the last bit of a float decides.
    jumps: list[tuple[str, dict[str, Any]]] = [("Floor", {}), ("Ceil", {}), ("Round", {}), ("Sign", {})]
    smooth: list[tuple[str, dict[str, Any]]] = [
        *(
            (name, {})
            for name in ("Sigmoid", "Tanh", "Erf", "Softplus", "Softsign", "Sin", "Cos", "Selu", "HardSigmoid")
        ),
        ("Elu", {"alpha": 0.7}),
        ("Celu", {"alpha": 1.5}),
        ("LeakyRelu", {"alpha": 0.1}),
    ]
    if road.opset >= 14:
        smooth.append(("HardSwish", {}))
    if road.opset >= 18:
        smooth.append(("Mish", {}))
    if road.opset >= 20:
        smooth += [("Gelu", {}), ("Gelu", {"approximate": "tanh"})]
    name, attributes = road.choice(*exact, *(jumps if road.whole else smooth))
    road.node(name, x, **attributes)


def function_of_positives(road: Road, x: str, shape: Shape) -> None:
    """A function that has no value, or too steep a slope, at and below zero."""
    if road.whole:
        return
    positive = road.node("Add", road.node("Abs", x), road.writer.constant(np.float32(0.5)))
    name = road.choice("Sqrt", "Log", "Reciprocal", "Pow")
    road.node(name, positive, *([road.writer.constant(np.float32(1.5))] if name == "Pow" else []))


def written_out(road: Road, x: str, shape: Shape) -> None:
    """Silu, and Gelu as torch once exported it."""
    if road.whole:
        return
    if road.chance():
        road.node("Mul", *road.either(x, road.node("Sigmoid", x)))
        return
    root, one, half = (road.writer.constant(np.float32(number)) for number in (2**0.5, 1, 0.5))
    inner = road.node("Add", road.node("Erf", road.node("Div", x, root)), one)
    road.node("Mul", road.node("Mul", x, inner), half)


def binary(road: Road, x: str, shape: Shape) -> None:
    """With broadcasting in every form, on either side."""
    y = road.operand(shape)
    name = road.choice("Mul", "Mul", "Sub", "Sub", "Min", "Max", "Div")
    if name == "Div":
        divide(road, x, y)
        return
    if name == "Mul" and road.whole:
        y = road.small(y)
    road.node(name, *road.either(x, y))


def divide(road: Road, x: str, y: str) -> None:
    """By an activation or a row, away from zero."""
    if road.whole:
        return
    half = np.float32(0.5)
    if y in road.shapes:
        y = road.node("Add", road.node("Abs", y), road.writer.constant(half))
    else:
        y = road.writer.constant(np.abs(road.numbers(*road.shapes[x][-1:])) + half)
    road.node("Div", x, y)


def gate(road: Road, x: str, shape: Shape) -> None:
    """What weighs the channels of an image: squeeze and excitation."""
    if len(shape) != 4 or not road.divides(shape[2:]):
        return
    mean = road.node("GlobalAveragePool", x)
    narrow = road.integer(1, 4)
    inner = road.node("Relu", road.node("Conv", mean, road.weight(narrow, shape[1], 1, 1), *road.bias(narrow)))
    wide = road.node("Conv", inner, road.weight(shape[1], narrow, 1, 1), *road.bias(shape[1]))
    weight = road.small(wide) if road.whole else road.node(road.choice("Sigmoid", "HardSigmoid"), wide)
    road.node("Mul", *road.either(x, weight))


def prelu(road: Road, x: str, shape: Shape) -> None:
    slope = [size if road.chance() else 1 for size in shape]
    slope[:1] = [1] * len(slope[:1])
    road.node("PRelu", x, road.writer.constant(road.numbers(*slope[road.integer(0, len(slope)) :])))


def choose(road: Road, x: str, shape: Shape) -> None:
    """Where, by a comparison. Floats are compared with numbers that none of them will equal."""
    name = road.choice("Greater", "Less", "GreaterOrEqual", "LessOrEqual", *(["Equal"] if road.whole else []))
    other = road.operand(shape) if road.whole else road.writer.constant(road.numbers())
    test = road.node(name, *road.either(x, other))
    if road.chance():
        test = road.node("Not", test)
    if road.chance():
        test = road.node(
            road.choice("And", "Or", "Xor"), test, road.node("Less", x, road.writer.constant(np.float32(0.3)))
        )
    road.node("Where", test, *road.either(x, road.operand(shape)))


def cast(road: Road, x: str, shape: Shape) -> None:
    """Of floats to integers, on which something is computed, and back."""
    if not road.whole:
        return
    integers = road.node("Cast", x, to=road.choice(6, 7))  # int32, int64
    dtype = road.dtype_of(integers)
    for _ in range(road.integer(0, 2)):
        name = road.choice("Add", "Sub", "Mul", "Max", "Min", "Div", "Mod", "Neg", "Abs")
        size = road.choice((), shape[-1:])
        constant = road.random.integers(1, 4, size).astype(dtype)
        operands = () if name in ("Neg", "Abs") else (road.writer.constant(constant),)
        integers = road.node(name, integers, *operands)
    road.node("Cast", integers, to=1)


# ---- matrices ----


def batched_matmul(road: Road, x: str, shape: Shape) -> None:
    """Of two activations, one transposed where it must be; or of a constant batch of matrices."""
    if len(shape) < (2 if road.mixing else 3):
        return
    fitting = [
        name
        for name, other in road.shapes.items()
        if other[-2:-1] == shape[-1:] and road.fits((*other[:-2], 1, 1), (*shape[:-2], 1, 1))
    ]
    kind = road.integer(0, 2)
    if fitting and kind == 0:
        y = road.choice(*fitting)
    elif kind == 1:
        batch = [1 if axis == 0 or road.chance() else size for axis, size in enumerate(shape[:-2])]
        batch = batch[road.integer(0, len(batch)) :]
        y = road.writer.constant(road.numbers(*batch, shape[-1], road.integer(1, 9)))
    else:
        perm = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        y = road.node("Transpose", x, perm=perm)
    road.node("MatMul", x, road.small(y) if road.whole else y)


def attention(road: Road, x: str, shape: Shape) -> None:
    """Several heads over [batch, positions, features]."""
    if len(shape) != 3 or road.whole or shape[1] == 1:
        return
    heads, size = road.integer(1, 3), road.integer(1, 4)
    parts = [road.node("MatMul", x, road.weight(shape[-1], heads * size)) for _ in range(3)]
    split = whole_constant(road, 0, shape[1], heads, size)
    query, key, value = (
        road.node("Transpose", road.node("Reshape", part, split), perm=perm)
        for part, perm in zip(parts, ((0, 2, 1, 3), (0, 2, 3, 1), (0, 2, 1, 3)), strict=True)
    )
    scores = road.node(
        road.choice("Mul", "Div"), road.node("MatMul", query, key), road.writer.constant(np.float32(size**0.5))
    )
    if road.chance():
        mask = np.triu(np.full((shape[1], shape[1]), road.choice(-1e4, -np.inf), np.float32), 1)
        scores = road.node("Add", scores, road.writer.constant(mask))
    mixed = road.node("MatMul", road.node("Softmax", scores, axis=-1), value)
    joined = road.node("Transpose", mixed, perm=(0, 2, 1, 3))
    road.node("Reshape", joined, whole_constant(road, 0, 0, heads * size))


# ---- reducing ----


def reduce(road: Road, x: str, shape: Shape) -> None:
    axes = axes_of(road, shape)
    if not axes:
        return
    name = road.choice("ReduceMax", "ReduceMin", "ReduceSum", *([] if road.whole else ["ReduceL2"]))
    keep = road.integer(0, 1)
    if name == "ReduceSum" or road.opset >= 18:
        road.node(name, x, whole_constant(road, *axes), keepdims=keep)
    else:
        road.node(name, x, axes=axes, keepdims=keep)


def largest(road: Road, x: str, shape: Shape) -> None:
    """ArgMax: its result, as a float, or what it points to."""
    axis = axis_of(road, shape)
    if axis is None or not road.whole:
        return
    index = road.node(
        road.choice("ArgMax", "ArgMin"), x, axis=axis, keepdims=1, select_last_index=road.choice(0, 0, 0, 1)
    )
    kind = road.integer(0, 3)
    if kind == 0:
        road.node("Cast", index, to=1)
    elif kind == 1:
        road.node("GatherElements", x, index, axis=axis)
    elif kind == 2 and road.mixing and prod(shape) * prod(road.shape_of(index)) <= 4000:
        road.node("Gather", x, index, axis=axis)


def foremost(road: Road, x: str, shape: Shape) -> None:
    """TopK: its values, or its indices, or both."""
    axis = axis_of(road, shape)
    if axis is None or not road.whole:
        return
    k = road.integer(1, min(4, shape[axis]))
    values, index = road.nodes(
        "TopK", x, whole_constant(road, k), outputs=2, axis=axis, largest=road.integer(0, 1), sorted=1
    )
    if road.chance():
        road.node("Cast", index, to=1)
    elif road.chance():
        road.node("GatherElements", x, index, axis=axis)
    elif road.chance():
        road.node("Add", values, values)


def grid_sample(road: Road, x: str, shape: Shape) -> None:
    """Of pixels, or of what lies between them; where it does a last bit may not decide between two."""
    if len(shape) != 4 or prod(shape) > 1000 or road.opset < 20:
        return
    points = (road.integer(1, 4), road.integer(1, 4))
    padding = road.choice("zeros", "border", "reflection")
    first = shape[0] if road.mixing else 1
    if first != shape[0]:
        return
    grid = road.random.uniform(-1.3, 1.3, (first, *points, 2)).astype(np.float32)
    mode, corners = ("nearest", 0) if road.whole else (road.choice("linear", "cubic", "nearest"), road.integer(0, 1))
    road.node("GridSample", x, road.writer.constant(grid), mode=mode, padding_mode=padding, align_corners=corners)


def layer_norm(road: Road, x: str, shape: Shape) -> None:
    axis = axis_of(road, shape)
    if axis is None or road.whole or road.opset < 17:
        return
    inner = shape[axis:]
    bias = [road.writer.constant(road.numbers(*inner))] if road.chance() else []
    epsilon = road.choice(1e-5, 1e-3)
    road.node("LayerNormalization", x, road.writer.constant(road.numbers(*inner)), *bias, axis=axis, epsilon=epsilon)


def instance_norm(road: Road, x: str, shape: Shape) -> None:
    if len(shape) < 3 or road.whole:
        return
    scale, bias = (road.writer.constant(road.numbers(shape[1])) for _ in range(2))
    road.node("InstanceNormalization", x, scale, bias, epsilon=road.choice(1e-5, 1e-3))


# ---- moving ----


def slices(road: Road, x: str, shape: Shape) -> None:
    axes = axes_of(road, shape)
    if not axes:
        return
    starts, ends, steps = [], [], []
    for axis in axes:
        size, step = shape[axis], road.choice(1, 1, 2, -1, -2, 3)
        first = road.integer(0, size - 1)
        last = road.integer(first + 1, size + 2) if step > 0 else road.integer(-1, first - 1)
        starts.append(first - size if road.chance() else first)
        ends.append(-(2**31) if last == -1 else last)
        steps.append(step)
    road.node("Slice", x, *(whole_constant(road, *each) for each in (starts, ends, axes, steps)))


def split(road: Road, x: str, shape: Shape) -> None:
    axis = axis_of(road, shape)
    if axis is None or shape[axis] < 2:
        return
    first = road.integer(1, shape[axis] - 1)
    sizes = [first, shape[axis] - first]
    if sizes[1] > 1 and road.chance():
        sizes[1:] = [1, sizes[1] - 1]
    road.nodes("Split", x, whole_constant(road, *sizes), outputs=len(sizes), axis=axis)


def pad(road: Road, x: str, shape: Shape) -> None:
    if not shape:
        return
    mode = road.choice("constant", "constant", "edge", "reflect")
    pads = []
    for axis, size in enumerate(2 * shape):
        least = -((size - 1) // 2) if mode == "constant" else 0
        most = size - 1 if mode == "reflect" else 2
        moves = axis % len(shape) >= (0 if road.mixing else 1)
        pads.append(road.choice(0, road.integer(max(least, -2), min(most, 2))) if moves else 0)
    value = [road.writer.constant(np.float32(road.choice(0, 1, -3)))] if mode == "constant" and road.chance() else []
    road.node("Pad", x, whole_constant(road, *pads), *value, mode=mode)


def gather(road: Road, x: str, shape: Shape) -> None:
    axis = axis_of(road, shape)
    if axis is None:
        return
    size = road.choice((), (1,), (3,), (2, 2))
    index = road.random.integers(-shape[axis], shape[axis], size)
    road.node("Gather", x, road.writer.constant(index), axis=axis)


def embed(road: Road, x: str, shape: Shape) -> None:
    """Rows of a table, by integers that are an input."""
    tokens = road.tokens(shape[0] if shape else 1)
    road.node("Gather", road.writer.constant(road.numbers(VOCABULARY, road.integer(1, 9))), tokens, axis=0)


def resize(road: Road, x: str, shape: Shape) -> None:
    if len(shape) not in (3, 4) or prod(shape) > 1000:
        return
    linear = road.chance() and not road.whole
    scales = [1.0, 1.0, *(road.choice(1.0, 2.0, 3.0, 1.5, 0.5) for _ in shape[2:])]
    scales = [scale if size * scale >= 1 else 1.0 for scale, size in zip(scales, shape, strict=True)]
    modes = ("asymmetric", "half_pixel", "align_corners")
    attributes = {"coordinate_transformation_mode": road.choice(*modes), "mode": "linear" if linear else "nearest"}
    if not linear:
        attributes["nearest_mode"] = road.choice("floor", "round_prefer_floor")
    road.node("Resize", x, "", road.writer.constant(np.array(scales, np.float32)), **attributes)


def depth_and_space(road: Road, x: str, shape: Shape) -> None:
    if len(shape) != 4:
        return
    if shape[1] % 4 == 0:
        road.node("DepthToSpace", x, blocksize=2, mode=road.choice("DCR", "CRD"))
    elif shape[2] % 2 == shape[3] % 2 == 0:
        road.node("SpaceToDepth", x, blocksize=2)


def conv_transpose(road: Road, x: str, shape: Shape) -> None:
    if len(shape) not in (3, 4) or prod(shape) > 1000:
        return
    groups = road.choice(1, 1, *(g for g in range(2, shape[1] + 1) if shape[1] % g == 0))
    per_group, spatial = road.integer(1, 3), len(shape) - 2
    kernel = [road.integer(1, 4) for _ in range(spatial)]
    strides = [road.integer(1, 3) for _ in range(spatial)]
    pads = 2 * [road.integer(0, (width - 1) // 2) for width in kernel]
    more = [road.integer(0, stride - 1) for stride in strides]
    weight = road.weight(shape[1], per_group, *kernel)
    bias = road.bias(groups * per_group)
    attributes = {"strides": strides, "pads": pads, "output_padding": more, "group": groups}
    road.node("ConvTranspose", x, weight, *bias, **attributes)


def expand(road: Road, x: str, shape: Shape) -> None:
    if prod(shape) > 1000 or len(shape) > 4:
        return
    first = 0 if road.mixing else 1
    new = [road.integer(1, 3) if size == 1 and axis >= first else 1 for axis, size in enumerate(shape)]
    if road.mixing and len(new) < 5 and road.chance():
        new.insert(0, road.integer(1, 2))
    road.node("Expand", x, whole_constant(road, *new))


def squeeze(road: Road, x: str, shape: Shape) -> None:
    ones = [axis for axis, size in enumerate(shape) if size == 1 and axis > 0]
    if ones and road.chance():
        road.node("Squeeze", x, whole_constant(road, road.choice(*ones)))
    elif len(shape) < 5:
        road.node("Unsqueeze", x, whole_constant(road, road.integer(min(len(shape), 1), len(shape))))


def tile(road: Road, x: str, shape: Shape) -> None:
    if prod(shape) > 500:
        return
    first = 0 if road.mixing else 1
    road.node(
        "Tile", x, whole_constant(road, *(road.integer(1, 2) if axis >= first else 1 for axis in range(len(shape))))
    )


FAMILIES = (
    *(function, function, function_of_positives, written_out, binary, binary, binary, gate, prelu, choose, cast),
    *(batched_matmul, attention, attention, reduce, reduce, largest, foremost, grid_sample, layer_norm, instance_norm),
    *(slices, slices, split, pad, gather, embed, resize, depth_and_space, conv_transpose, expand, squeeze, tile),
)
