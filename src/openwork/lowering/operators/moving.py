"""Operators that move elements and compute nothing."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx_ir as ir

from openwork.graph import static_shape
from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.rule import ANY, Operator, node_name, rank_of
from openwork.lowering.steps import Concat, Pad, Reshape, Slice, Step, TakeAlong, Transpose


def _concat(node: ir.Node, draft: Draft) -> Concat:
    inputs = tuple(input_name(node, index) for index in range(len(node.inputs)))
    return Concat(node_name(node), inputs, output_name(node), node.attributes["axis"].as_int() % rank_of(node))


def _transpose(node: ir.Node, draft: Draft) -> Transpose:
    reversed_axes = range(rank_of(node))[::-1]
    return Transpose(
        node_name(node),
        input_name(node),
        output_name(node),
        tuple(node.attributes.get_ints("perm", reversed_axes)),
    )


def _reshape(node: ir.Node, draft: Draft) -> Reshape:
    return Reshape(node_name(node), input_name(node), output_name(node), _new_axes(node, draft))


def _new_axes(node: ir.Node, draft: Draft) -> tuple[int, ...]:
    """Of the output, as far as the operator tells: a Reshape does where an axis beside it is copied or inferred."""
    sizes = static_shape(node.outputs[0])
    if node.op_type == "Unsqueeze":
        return tuple(sorted(axis % len(sizes) for axis in integers(node, draft, 1, "axes")))
    if node.op_type == "Flatten" and node.attributes.get_int("axis", 1) in (0, -rank_of(node)):
        return (0,)
    if node.op_type != "Reshape" or input_name(node, 1) not in draft.constants:
        return ()
    wanted, ones = integers(node, draft, 1, "shape"), [axis for axis, size in enumerate(sizes) if size == 1]
    copied = [axis for axis in ones if wanted[axis] != 1]
    return tuple(
        axis
        for axis in ones
        if wanted[axis] == 1
        and any(all(at in ones for at in range(min(axis, other), max(axis, other))) for other in copied)
    )


def _dropout(node: ir.Node, draft: Draft) -> Reshape:
    """Not with `training_mode`."""
    training = draft.optional_constant_of(node, 2, "training_mode")
    if training is not None and draft.constants[training].any():
        raise Unsupported("it trains; export the model for inference")
    return _reshape(node, draft)


def _slice(node: ir.Node, draft: Draft) -> Sequence[Step]:
    shape = draft.shape_of(input_name(node))
    starts = integers(node, draft, 1, "starts")
    ends = integers(node, draft, 2, "ends")
    axes = integers(node, draft, 3, "axes", range(len(shape)))
    steps = integers(node, draft, 4, "steps", [1] * len(starts))
    ranges = [range(size) for size in shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=False):  # all axes may be more than needed
        start = max(start, -len(ranges[axis]))  # Python takes nothing where steps go back from in front of the first
        ranges[axis] = ranges[axis][slice(start, end, step)]
    parts = Composition(node, draft)
    return parts.end(sliced(parts, input_name(node), ranges))


def sliced(parts: Composition, x: str, ranges: Sequence[range]) -> str:
    """Only those elements whose indices lie in a range along each axis."""
    starts, steps = tuple(each.start for each in ranges), tuple(each.step for each in ranges)
    if list(ranges) == [range(size) for size in parts.shape(x)]:
        return x
    shape = [len(each) for each in ranges]
    return parts.step(lambda name, y: Slice(name, x, y, starts, steps), shape, parts.dtype(x))


def along(shape: Sequence[int], axis: int, part: range) -> list[range]:
    """The ranges of `sliced` for a part of one axis and all of the others."""
    return [part if at == axis else range(size) for at, size in enumerate(shape)]


def taken_along(parts: Composition, x: str, axis: int, places: str) -> str:
    """Of each row along an axis the elements at the places in the same row of another tensor."""
    return parts.step(lambda name, y: TakeAlong(name, (x, places), y, axis), parts.shape(places), parts.dtype(x))


def _split(node: ir.Node, draft: Draft) -> list[Step]:
    """Each output that is used is a slice; how long they are is known from shape inference."""
    shape = draft.shape_of(input_name(node))
    axis = node.attributes.get_int("axis", 0) % len(shape)
    steps: list[Step] = []
    begin = 0
    for output in node.outputs:
        end = begin + static_shape(output)[axis]
        if output is node.outputs[0] or output.uses() or output.is_graph_output():
            parts = Composition(node, draft)
            part = sliced(parts, input_name(node), along(shape, axis, range(begin, end)))
            steps += parts.end(part, output=output.name)
        begin = end
    return steps


def _pad(node: ir.Node, draft: Draft) -> list[Step]:
    """Negative pads cut. Pads must be constant, the value need not."""
    parts, x = Composition(node, draft), input_name(node)
    shape = parts.shape(x)
    rank = len(shape)
    mode = node.attributes.get_string("mode", "constant")
    given = integers(node, draft, 1, "pads")
    axes = [axis % rank for axis in integers(node, draft, 3, "axes", range(rank))]
    pads = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        pads[axis], pads[axis + rank] = given[index], given[index + len(axes)]
    cut = [range(max(0, -pads[i]), size - max(0, -pads[i + rank])) for i, size in enumerate(shape)]
    more = [max(0, pad) for pad in pads]
    y = sliced(parts, x, cut)
    value = node.inputs[2] if len(node.inputs) > 2 else None
    if value is None:
        return parts.end(padded(parts, y, more, mode))
    if input_name(node, 2) in draft.constants:
        number = draft.constants[input_name(node, 2)].reshape(()).item()
        return parts.end(padded(parts, y, more, mode, number))
    inside = np.pad(np.ones(parts.shape(y), np.bool_), list(zip(more[:rank], more[rank:], strict=True)))
    y = padded(parts, y, more, mode)
    is_value = mode == "constant" and not inside.all()
    return parts.end(parts.select(parts.constant(inside), y, input_name(node, 2)) if is_value else y)


def padded(parts: Composition, x: str, pads: Sequence[int], mode: str = "constant", value: float = 0) -> str:
    """Elements around all axes: (begin..., end...)."""
    given = parts.shape(x)
    if mode not in ("constant", "edge", "reflect", "wrap"):
        raise Unsupported(f"mode {mode!r} is no mode of ONNX")
    if not any(pads):
        return x
    shape = [size + pads[axis] + pads[axis + len(given)] for axis, size in enumerate(given)]
    dtype = parts.dtype(x)
    return parts.step(lambda name, y: Pad(name, x, y, tuple(pads), mode, value), shape, dtype)  # type: ignore[arg-type]


def _expand(node: ir.Node, draft: Draft) -> list[Step]:
    parts = Composition(node, draft)
    return parts.end(parts.expand(input_name(node), *static_shape(node.outputs[0])))


def _tile(node: ir.Node, draft: Draft) -> list[Step]:
    """[d, ...] is seen as [1, d, ...] and repeated to [repeats, d, ...]."""
    parts, x = Composition(node, draft), input_name(node)
    shape, repeats = parts.shape(x), integers(node, draft, 1, "repeats")
    apart = [size for pair in zip([1] * len(shape), shape, strict=True) for size in pair]
    repeated = [size for pair in zip(repeats, shape, strict=True) for size in pair]
    return parts.end(parts.expand(parts.reshape(x, *apart), *repeated), static_shape(node.outputs[0]))


def _depth_to_space(node: ir.Node, draft: Draft) -> list[Step]:
    parts, x = Composition(node, draft), input_name(node)
    images, channels, height, width = parts.shape(x)
    block = node.attributes["blocksize"].as_int()
    depth = channels // block**2
    if _pixels_last(node):
        apart = parts.reshape(x, images, depth, block, block, height, width)
        woven = parts.transpose(apart, 0, 1, 4, 2, 5, 3)
    else:
        apart = parts.reshape(x, images, block, block, depth, height, width)
        woven = parts.transpose(apart, 0, 3, 4, 1, 5, 2)
    return parts.end(woven, (images, depth, height * block, width * block))


def _pixels_last(node: ir.Node) -> bool:
    """Whether the pixels of a block are neighbouring channels."""
    return node.attributes.get_string("mode", "DCR") == "CRD"


def _space_to_depth(node: ir.Node, draft: Draft) -> list[Step]:
    parts, x = Composition(node, draft), input_name(node)
    images, channels, height, width = parts.shape(x)
    block = node.attributes["blocksize"].as_int()
    height, width = height // block, width // block
    perm = (0, 1, 3, 5, 2, 4) if _pixels_last(node) else (0, 3, 5, 1, 2, 4)
    woven = parts.transpose(parts.reshape(x, images, channels, height, block, width, block), *perm)
    return parts.end(woven, (images, block**2 * channels, height, width))


def _constant(node: ir.Node, draft: Draft) -> None:
    """Not as an output of the network."""
    tensor = ir.convenience.get_const_tensor(node.outputs[0])
    if tensor is None:
        raise Unsupported("its value is no tensor")
    draft.constants[output_name(node)] = tensor.numpy()


def _shape(node: ir.Node, draft: Draft) -> None:
    """A constant."""
    shape = draft.shape_of(input_name(node))
    part = slice(node.attributes.get_int("start", 0), node.attributes.get_int("end", len(shape)))
    draft.constants[output_name(node)] = np.array(shape[part], np.int64)


def _size(node: ir.Node, draft: Draft) -> None:
    """A constant."""
    draft.constants[output_name(node)] = np.array(np.prod(draft.shape_of(input_name(node))), np.int64)


def integers(node: ir.Node, draft: Draft, index: int, role: str, missing: Sequence[int] = ()) -> list[int]:
    """Whole numbers at an input; `missing` where it is left out.

    Raises: Unsupported: they are known only at run time.
    """
    name = draft.optional_constant_of(node, index, role)
    return list(missing) if name is None else [int(each) for each in draft.constants[name].reshape(-1)]


OPERATORS: Mapping[str, Operator] = {
    "Concat": Operator(_concat, ANY),
    "Constant": Operator(_constant, ANY),
    "DepthToSpace": Operator(_depth_to_space, ANY),
    "Dropout": Operator(_dropout, ANY),
    "Expand": Operator(_expand, ANY),
    "Flatten": Operator(_reshape, ANY),
    "Identity": Operator(_reshape, ANY),
    "Pad": Operator(_pad, ANY),
    "Reshape": Operator(_reshape, ANY),
    "Shape": Operator(_shape, ANY),
    "Size": Operator(_size, ANY),
    "Slice": Operator(_slice, ANY),
    "SpaceToDepth": Operator(_space_to_depth, ANY),
    "Split": Operator(_split, ANY, many=True),
    "Squeeze": Operator(_reshape, ANY),
    "Tile": Operator(_tile, ANY),
    "Transpose": Operator(_transpose, ANY),
    "Unsqueeze": Operator(_reshape, ANY),
}
