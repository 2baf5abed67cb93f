"""Resize and Upsample: for every axis a table of which elements each result is made of, and with what weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.graph import static_shape
from openwork.lowering.draft import Draft, Unsupported, input_name
from openwork.lowering.operators.compose import Composition
from openwork.lowering.operators.moving import padded
from openwork.lowering.operators.rule import ANY, Operator
from openwork.lowering.steps import Resampling, Resize, Step


@dataclass(frozen=True)
class _Kernel:
    """How results are made of the elements around them: the attributes of a Resize that all axes share."""

    mode: str  # nearest, linear or cubic
    coordinates: str
    nearest: str
    cubic: float
    exclude_outside: bool
    antialias: bool


def _resize(node: ir.Node, draft: Draft) -> list[Step]:
    """Linear and cubic take float32 only. Scales, sizes and regions of interest must be constant."""
    text, shape = node.attributes.get_string, draft.shape_of(input_name(node))
    before_11 = draft.opset < 11
    kernel = _Kernel(
        text("mode", "nearest"),
        text("coordinate_transformation_mode", "asymmetric" if before_11 else "half_pixel"),
        text("nearest_mode", "floor" if before_11 else "round_prefer_floor"),
        node.attributes.get_float("cubic_coeff_a", -0.75),
        bool(node.attributes.get_int("exclude_outside", 0)),
        bool(node.attributes.get_int("antialias", 0)),
    )
    axes = [axis % len(shape) for axis in node.attributes.get_ints("axes", range(len(shape)))]
    scales = _numbers(node, draft, 1 if before_11 else 2, "scales")
    scales = list(node.attributes.get_floats("scales", [])) if before_11 and not scales else scales
    result = static_shape(node.outputs[0])
    if not scales:
        scales = [float(np.float32(result[axis]) / np.float32(shape[axis])) for axis in axes]
        policy = text("keep_aspect_ratio_policy", "stretch")
        if policy != "stretch":
            sizes = _numbers(node, draft, 3, "sizes")
            wanted = [size / shape[axis] for size, axis in zip(sizes, axes, strict=True)]
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
    """axes: size, scale and region of each axis. What lies outside of the input becomes `outside` (only crops do)."""
    shape = list(parts.shape(x))
    pads = [0] * (2 * len(shape))
    tables = []
    for axis, (size, scale, region) in axes.items():
        given = shape[axis]
        if size == given and scale == 1 and region == (0.0, 1.0):
            continue
        at = _coordinates(kernel.coordinates, given, size, scale, region)
        if kernel.coordinates == "tf_crop_and_resize":
            inside = np.flatnonzero((at >= 0) & (at <= given - 1))
            if not len(inside):
                raise Unsupported("its region lies outside of the input")
            pads[axis], pads[axis + len(shape)] = int(inside[0]), size - 1 - int(inside[-1])
            at = at[inside]
        shape[axis] = len(at)
        tables.append(_table(axis, at, given, scale, kernel))
    if any(table.weights is not None for table in tables) and parts.dtype(x) != "float32":
        raise Unsupported(f"mode {kernel.mode!r} on {parts.dtype(x)}; openwork takes float32 here")
    y = parts.step(lambda name, y: Resize(name, x, y, tuple(tables)), shape, parts.dtype(x)) if tables else x
    return parts.end(padded(parts, y, pads, value=outside))


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
            return (x + half) / factor - half if size > 1 else np.array([0 if scale * given != 1 else -0.5], np.float32)
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
                return np.array([0.5], np.float32) * (begin + end) * last
            return begin * last + x * (end - begin) * last / np.float32(size - 1)
        case other:
            raise Unsupported(f"coordinate_transformation_mode {other!r} is no mode of ONNX")


def _table(axis: int, at: NDArray[np.float32 | np.float64], given: int, scale: float, kernel: _Kernel) -> Resampling:
    """Which elements the results at those coordinates are made of; the nearest inside stands for one outside."""
    if kernel.mode == "nearest":
        return Resampling(axis, np.clip(_nearest(kernel.nearest, at), 0, given - 1)[:, None].astype(np.int32), None)
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


def _nearest(mode: str, at: NDArray[np.float32 | np.float64]) -> NDArray[np.float32 | np.float64]:
    half = np.float32(0.5)
    match mode:
        case "floor":
            return np.floor(at)
        case "ceil":
            return np.ceil(at)
        case "round_prefer_ceil":
            return np.floor(at + half)
        case "round_prefer_floor":
            return np.ceil(at - half)
        case other:
            raise Unsupported(f"nearest_mode {other!r} is no mode of ONNX")


def _keys(distance: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """The cubic convolution kernel. Source: Keys 1981, doi:10.1109/TASSP.1981.1163711."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))


def _upsample(node: ir.Node, draft: Draft) -> list[Step]:
    """What Resize was called before opset 10."""
    mode = node.attributes.get_string("mode", "nearest")
    scales: Sequence[float] = _numbers(node, draft, 1, "scales") or node.attributes.get_floats("scales", [])
    result = static_shape(node.outputs[0])
    axes = {axis: (size, scales[axis], (0.0, 1.0)) for axis, size in enumerate(result)}
    kernel = _Kernel(mode, "asymmetric", "floor", 0, False, False)
    return _resized(Composition(node, draft), input_name(node), axes, kernel, 0)


OPERATORS: Mapping[str, Operator] = {
    "Resize": Operator(_resize, ANY),
    "Upsample": Operator(_upsample, ANY),
}
