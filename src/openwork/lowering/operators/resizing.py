"""Resize: for every axis a table of which elements each result is made of, and with what weights; GridSample."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import static_shape
from openwork.lowering.draft import Draft, Unsupported, input_name, output_name
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.moving import padded
from openwork.lowering.operators.rule import ANY, Operator, node_name
from openwork.lowering.steps import FixedResampling, GridSample, Resampling, Resize, Step
from openwork.lowering.steps.resizing import FRACTION, SampleMode, SamplePadding


@dataclass(frozen=True)
class _Kernel:
    """How results are made of the elements around them: the attributes of a Resize that all axes share."""

    mode: str  # nearest, linear or cubic
    coordinates: str
    nearest: str
    cubic: float
    exclude_outside: bool
    antialias: bool

    @property
    def is_plainly_linear(self) -> bool:
        return self.mode == "linear" and not (self.exclude_outside or self.antialias)


def _resize(node: ir.Node, draft: Draft) -> list[Step]:
    """Linear and cubic take float32 only; linear runs in integers of 8 bits.

    Scales, sizes and regions of interest must be constant.
    """
    text, shape = node.attributes.get_string, draft.shape_of(input_name(node))
    kernel = _Kernel(
        text("mode", "nearest"),
        text("coordinate_transformation_mode", "half_pixel"),
        text("nearest_mode", "round_prefer_floor"),
        node.attributes.get_float("cubic_coeff_a", -0.75),
        bool(node.attributes.get_int("exclude_outside", 0)),
        bool(node.attributes.get_int("antialias", 0)),
    )
    axes = [axis % len(shape) for axis in node.attributes.get_ints("axes", range(len(shape)))]
    scales = _numbers(node, draft, 2, "scales")
    result = static_shape(node.outputs[0])
    if not scales:
        scales = [float(np.float32(result[axis]) / np.float32(shape[axis])) for axis in axes]
        policy = text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            sizes = _numbers(node, draft, 3, "sizes")
            wanted = [float(np.float32(size) / np.float32(shape[axis])) for size, axis in zip(sizes, axes, strict=True)]
            scales = [min(wanted) if policy == "not_larger" else max(wanted)] * len(axes)
    crops = kernel.coordinates == "tf_crop_and_resize"
    region = _numbers(node, draft, 1, "region of interest") if crops else [0.0] * len(axes) + [1.0] * len(axes)
    return _resized(
        Composition(node, draft),
        input_name(node),
        {axis: (result[axis], scales[i], (region[i], region[i + len(axes)])) for i, axis in enumerate(axes)},
        kernel,
        node.attributes.get_float("extrapolation_value", 0.0),
    )


def _numbers(node: ir.Node, draft: Draft, index: int, role: str) -> list[float]:
    """An optional constant input; nothing where it is empty."""
    name = draft.optional_constant_of(node, index, role)
    return [] if name is None else draft.constants[name].reshape(-1).tolist()


def _resized(
    parts: Composition,
    x: str,
    axes: Mapping[int, tuple[int, float, tuple[float, float]]],
    kernel: _Kernel,
    outside: float,
) -> list[Step]:
    """axes: size, scale and region of each axis. What lies outside of the input becomes `outside` (only crops do).

    As in onnxruntime, an axis whose scale is 1 stays whole, whatever its region is, and so does an image whose size
    stays what it is, whatever its scales are; and, without aliasing or cubic with channels last, the elements of an
    axis whose size does.
    """
    shape = list(parts.shape(x))
    pads = [0] * (2 * len(shape))
    tables, fixed = [], []
    keeps_sizes = kernel.antialias or (kernel.mode == "cubic" and len(shape) == 4 and 1 in axes and axes[1][1] != 1)
    if all(size == shape[axis] for axis, (size, _, _) in axes.items()):
        axes = {}
    for axis, (size, scale, region) in axes.items():
        given = shape[axis]
        if scale == 1:
            continue
        at = _coordinates(kernel.coordinates, given, size, scale, region)
        if kernel.coordinates == "tf_crop_and_resize":
            inside = np.flatnonzero((at >= 0) & (at <= given - 1))
            if not len(inside):
                result = [axes[i][0] if i in axes else size for i, size in enumerate(parts.shape(x))]
                return parts.end(parts.constant(np.full(result, outside).astype(parts.dtype(x))))
            pads[axis], pads[axis + len(shape)] = int(inside[0]), size - 1 - int(inside[-1])
        if keeps_sizes and size == given:
            at = np.arange(size, dtype=np.float32)
        at = at[pads[axis] : size - pads[axis + len(shape)]]
        shape[axis] = len(at)
        tables.append(_table(axis, at, given, scale, kernel))
        if kernel.is_plainly_linear and _has_fixed_coordinates(kernel.coordinates, given, size, scale):
            fixed.append(_fixed_table(axis, kernel.coordinates, given, size))
    if any(table.weights is not None for table in tables) and parts.dtype(x) != "float32":
        raise Unsupported(f"mode {kernel.mode!r} on {parts.dtype(x)}; openwork takes float32 here")
    if tables:
        all_fixed = tuple(fixed) if len(fixed) == len(tables) else None
        source, dtype = x, parts.dtype(x)
        x = parts.step(lambda name, y: Resize(name, source, y, tuple(tables), all_fixed), shape, dtype)
    return parts.end(padded(parts, x, pads, value=outside))


def _coordinates(
    mode: str, given: int, size: int, scale: float, region: tuple[float, float]
) -> NDArray[np.float32 | np.float64]:
    """[size]: where each result lies in the input, in elements; in the precision of onnxruntime, which breaks ties.

    Source: ONNX's specification of Resize, `coordinate_transformation_mode`.
    """
    x, factor = np.arange(size, dtype=np.float32), np.float32(scale)
    half = np.float32(0.5)
    match mode:
        case "asymmetric":
            return x / factor
        case "half_pixel":
            return (x + half) / factor - half
        case "pytorch_half_pixel":
            return (x + half) / factor - half if size > 1 else np.zeros(1, np.float32)
        case "tf_half_pixel_for_nn":
            return (x + half) / factor
        case "half_pixel_symmetric":
            offset = half * np.float32(given) * (1 - np.float32(size) / (factor * np.float32(given)))
            exact = np.float64(offset) + (np.arange(size) + 0.5) / np.float64(factor) - 0.5
            return exact.astype(np.float32)
        case "align_corners":
            return x * np.float32(given - 1) / np.float32(size - 1) if size > 1 else np.zeros(1, np.float32)
        case "tf_crop_and_resize":
            begin, end = (np.float32(each) for each in region)
            last = np.float32(given - 1)
            if size == 1:
                return (np.array([0.5]) * (begin + end) * last).astype(np.float32)
            return begin * last + x * (end - begin) * last / np.float32(size - 1)
        case other:
            raise Unsupported(f"coordinate_transformation_mode {other!r} is no mode of ONNX")


def _table(axis: int, at: NDArray[np.float32 | np.float64], given: int, scale: float, kernel: _Kernel) -> Resampling:
    """Which elements the results at those coordinates are made of; the nearest inside stands for one outside."""
    if kernel.mode == "nearest":
        return Resampling(axis, np.clip(_nearest(kernel.nearest, at), 0, given - 1)[:, None].astype(np.int32), None)
    if kernel.is_plainly_linear:
        return _linear_table(axis, at.astype(np.float64), given)
    at = at.astype(np.float64)
    stretch = min(scale, 1.0) if kernel.antialias else 1.0  # a filter as wide as what one result stands for
    reach = {"linear": 1, "cubic": 2}.get(kernel.mode)
    if reach is None:
        raise Unsupported(f"mode {kernel.mode!r} is no mode of ONNX")
    taps = int(np.ceil(reach / stretch))
    places = np.floor(at)[:, None] + np.arange(1 - taps, taps + 1)
    distances = np.abs(places - at[:, None]) * stretch
    weights = np.maximum(1 - distances, 0) if reach == 1 else _keys(distances, kernel.cubic)
    if kernel.exclude_outside:
        weights = np.where((places < 0) | (places >= given), 0, weights)
    if kernel.exclude_outside or kernel.antialias:
        weights = weights / weights.sum(1, keepdims=True)
    return Resampling(axis, np.clip(places, 0, given - 1).astype(np.int32), weights.astype(np.float32))


def _linear_table(axis: int, at: NDArray[np.float64], given: int) -> Resampling:
    """The two neighbours; of the last element, which has but itself, half and half, as in onnxruntime."""
    at = np.clip(at, 0, given - 1)
    first = np.floor(at)
    second = np.minimum(first + 1, given - 1)
    upper = np.where(first == second, 0.5, at - first)
    places, weights = np.stack([first, second], 1), np.stack([1 - upper, upper], 1)
    return Resampling(axis, places.astype(np.int32), weights.astype(np.float32))


# Coordinates that TensorFlow Lite has.
_FIXED_COORDINATES = ("align_corners", "asymmetric", "half_pixel", "pytorch_half_pixel")


def _has_fixed_coordinates(mode: str, given: int, size: int, scale: float) -> bool:
    """Whether there is a fixed-point form: not where a scale was rounded to whole elements, or one is the middle."""
    is_whole = np.float32(scale) == np.float32(size) / np.float32(given)
    return mode in _FIXED_COORDINATES and bool(is_whole) and (size > 1 or mode != "pytorch_half_pixel")


def _fixed_table(axis: int, mode: str, given: int, size: int) -> FixedResampling:
    """The two neighbours in fixed point: the step from result to result is rounded, and adds up.

    Source: TensorFlow Lite, reference_ops::ResizeBilinearInteger. Elements beyond the last, which are read there
    after more than 2^11 steps, are the last here.
    """
    one, last = 1 << FRACTION, given - 1
    if mode == "align_corners" and size > 1:
        step = (one * last + (size - 1) // 2) // (size - 1)
    else:
        step = (one * given + size // 2) // size
    begin = step // 2 - one // 2 if mode.endswith("half_pixel") else 0
    at = np.maximum(np.arange(size) * step + begin, 0)
    places = np.minimum(np.stack([at >> FRACTION, (at + one - 1) >> FRACTION], 1), last)
    upper = at & (one - 1)
    return FixedResampling(axis, places.astype(np.int32), np.stack([one - upper, upper], 1).astype(np.int32))


# How far from the middle between two elements a coordinate may lie that stands for it, in elements.
_NEARLY = 1e-6


def _nearest(mode: str, at: NDArray[np.float32 | np.float64]) -> NDArray[np.float32 | np.float64]:
    """What is nearly in the middle counts as that, as in onnxruntime: coordinates are rounded."""
    below = np.floor(at)
    rest = (at - below).astype(np.float64)
    is_middle = np.abs(rest - 0.5) < _NEARLY
    match mode:
        case "floor":
            return below
        case "ceil":
            return np.ceil(at)
        case "round_prefer_ceil":
            return below + (is_middle | (rest > 0.5))
        case "round_prefer_floor":
            return below + (~is_middle & (rest > 0.5))
        case other:
            raise Unsupported(f"nearest_mode {other!r} is no mode of ONNX")


def _keys(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """The cubic convolution kernel. Source: Keys 1981, doi:10.1109/TASSP.1981.1163711."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def _grid_sample(node: ir.Node, draft: Draft) -> Step:
    """Images of two or three dimensions, by cubic convolution of two."""
    text = node.attributes.get_string
    mode, padding = text("mode", "linear"), text("padding_mode", "zeros")
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)  # their names before opset 20
    if mode not in get_args(SampleMode) or padding not in get_args(SamplePadding):
        raise Unsupported(f"mode {mode!r} with padding {padding!r} is none of ONNX")
    dimensions = len(draft.shape_of(input_name(node))) - 2
    if dimensions not in (2, 3) or (mode == "cubic" and dimensions == 3):
        raise Unsupported(f"mode {mode!r} on {dimensions} spatial dimensions")
    names = (input_name(node), input_name(node, 1))
    corners = bool(node.attributes.get_int("align_corners", 0))
    return GridSample(node_name(node), names, output_name(node), mode, padding, corners)  # type: ignore[arg-type]


OPERATORS: Mapping[str, Operator] = {
    "GridSample": Operator(_grid_sample),
    "Resize": Operator(_resize, ANY),
}
