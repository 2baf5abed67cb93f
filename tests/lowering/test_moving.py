"""Operators that move elements, lowered and interpreted, against onnxruntime."""

from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openwork.errors import UnsupportedError
from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.models import Writer, random_inputs

some = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
DTYPES = ("float32", "int32", "int64", "bool", "int8", "uint8")
dtypes = st.sampled_from(DTYPES)
shapes = st.lists(st.integers(1, 6), min_size=1, max_size=5).map(tuple)


def check(model: ir.Model, tolerance: float = 0.0, **given: Any) -> list[str]:
    """The interpreter's outputs are onnxruntime's; returns the kinds of the steps."""
    inputs = {**random_inputs(model), **given}
    expected = evaluate(model, inputs)
    canonicalise(model)
    program = lower(model)
    results = interpreter.run(program, inputs)
    for name, right in expected.items():
        assert results[name].dtype == right.dtype
        np.testing.assert_allclose(results[name], right, rtol=0, atol=tolerance)
    return [type(step).__name__ for step in program.steps]


def whole(writer: Writer, *numbers: int) -> str:
    return writer.constant(np.array(numbers, np.int64))


@pytest.mark.parametrize("step", [-1, -2, 1])
def test_a_slice_may_start_in_front_of_the_first_element(step: int) -> None:
    """And go back from it: ONNX takes the first element then, Python none."""
    writer = Writer()
    x = writer.input("x", (4, 2))
    ends = -9 if step < 0 else 3
    y = writer.op("Slice", x, *(whole(writer, each) for each in (-7, ends, 0, step)), name="y")
    check(writer.model(y))


@some
@given(st.data(), shapes, dtypes)
def test_slice(data: st.DataObject, shape: tuple[int, ...], dtype: str) -> None:
    """Ends far outside, negative steps, some axes, in any order."""
    writer = Writer()
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    starts, ends, steps = [], [], []
    for axis in axes:
        step = data.draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        size = shape[axis]
        start, count = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, 9))
        end = start + step * count
        starts.append(data.draw(st.sampled_from([start, start - size])))
        ends.append(end if end >= 0 else end - size)
        steps.append(step)
    names = [axis - data.draw(st.sampled_from([0, len(shape)])) for axis in axes]
    x = writer.input("x", shape, dtype)
    y = writer.op("Slice", x, *(whole(writer, *each) for each in (starts, ends, names, steps)), name="y")
    check(writer.model(y))


@some
@given(st.data(), shapes, dtypes)
def test_split(data: st.DataObject, shape: tuple[int, ...], dtype: str) -> None:
    """Some of the outputs are used, some are not."""
    axis = data.draw(st.integers(0, len(shape) - 1))
    cuts = sorted({0, shape[axis], *data.draw(st.lists(st.integers(0, shape[axis])))})
    sizes = np.diff(cuts)
    writer = Writer()
    x = writer.input("x", shape, dtype)
    names = [f"part{index}" for index in range(len(sizes))]
    writer.node("Split", [x, whole(writer, *sizes)], names, axis=axis - len(shape))
    used = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    check(writer.model(*used))


def test_split_into_equal_parts() -> None:
    writer = Writer()
    writer.node("Split", [writer.input("x", (2, 7, 3))], ["a", "b", "c"], axis=1, num_outputs=3)
    assert check(writer.model("c", "a", "b")) == ["Slice"] * 3


@some
@given(st.data(), shapes, st.sampled_from(["float32", "int32", "int64", "int8", "uint8", "bool"]))
def test_pad(data: st.DataObject, shape: tuple[int, ...], dtype: str) -> None:
    writer = Writer(opset=20)
    mode = data.draw(st.sampled_from(["constant", "constant", "edge", "reflect", "wrap"]))
    axes = data.draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    low = 0 if mode == "wrap" else -1
    pads = [
        data.draw(st.integers(low if shape[axis] > 2 else 0, 3 if mode in ("constant", "edge") else shape[axis] - 1))
        for _ in range(2)
        for axis in axes
    ]
    if mode == "reflect" and min(pads) < 0:
        pads = [abs(pad) for pad in pads]
    value = [writer.constant(np.array(3, dtype))] if mode == "constant" and data.draw(st.booleans()) else [""]
    x = writer.input("x", shape, dtype)
    y = writer.op("Pad", x, whole(writer, *pads), *value, whole(writer, *axes), name="y", mode=mode)
    check(writer.model(y))


@some
@given(st.data(), shapes, dtypes)
def test_expand_and_tile(data: st.DataObject, shape: tuple[int, ...], dtype: str) -> None:
    writer = Writer()
    x = writer.input("x", shape, dtype)
    if data.draw(st.booleans()):
        repeats = [data.draw(st.integers(1, 3)) for _ in shape]
        y = writer.op("Tile", x, whole(writer, *repeats), name="y")
    else:
        thin = [data.draw(st.sampled_from([1, size])) for size in shape]
        x = writer.op("Slice", x, whole(writer, *[0] * len(shape)), whole(writer, *thin))
        more = data.draw(st.lists(st.integers(1, 3), max_size=2))
        y = writer.op("Expand", x, whole(writer, *more, *shape), name="y")
    check(writer.model(y))


@some
@given(st.data(), shapes, dtypes, st.sampled_from([np.int32, np.int64]), st.booleans())
def test_gather(data: st.DataObject, shape: tuple[int, ...], dtype: str, index: Any, constant: bool) -> None:
    writer = Writer()
    axis = data.draw(st.integers(0, len(shape) - 1))
    count = tuple(data.draw(st.lists(st.integers(1, 4), max_size=2)))
    indices = writer.rng.integers(-shape[axis], shape[axis], count).astype(index)
    if data.draw(st.booleans()) and len(count) == 1:
        indices = np.arange(shape[axis], dtype=index)[:: data.draw(st.sampled_from([1, 2, -1]))]
    x = writer.input("x", shape, dtype)
    name = writer.constant(indices) if constant else writer.input("i", indices.shape, str(indices.dtype))
    y = writer.op("Gather", x, name, name="y", axis=axis - len(shape))
    check(writer.model(y), **{} if constant else {"i": indices})


@some
@given(st.data(), shapes, dtypes, st.booleans())
def test_gather_elements(data: st.DataObject, shape: tuple[int, ...], dtype: str, constant: bool) -> None:
    writer = Writer()
    axis = data.draw(st.integers(0, len(shape) - 1))
    count = tuple(data.draw(st.integers(1, size + 2 * (at == axis))) for at, size in enumerate(shape))
    indices = writer.rng.integers(-shape[axis], shape[axis], count)
    name = writer.constant(indices) if constant else writer.input("i", count, "int64")
    y = writer.op("GatherElements", writer.input("x", shape, dtype), name, name="y", axis=axis)
    check(writer.model(y), **{} if constant else {"i": indices})


@some
@given(st.data(), shapes, dtypes, st.booleans())
def test_gather_nd(data: st.DataObject, shape: tuple[int, ...], dtype: str, constant: bool) -> None:
    writer = Writer()
    batch = data.draw(st.integers(0, len(shape) - 1))
    depth = data.draw(st.integers(1, len(shape) - batch))
    count = (*shape[:batch], *data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=2)))
    each = [writer.rng.integers(-size, size, count) for size in shape[batch : batch + depth]]
    indices = np.stack(each, -1)
    if dtype == "bool":  # onnxruntime has no bool here
        dtype = "int32"
    name = writer.constant(indices) if constant else writer.input("i", indices.shape, "int64")
    y = writer.op("GatherND", writer.input("x", shape, dtype), name, name="y", batch_dims=batch)
    check(writer.model(y), **{} if constant else {"i": indices})


@some
@given(st.data(), shapes, st.sampled_from(["float32", "int64", "uint8"]), st.booleans())
def test_scatter(data: st.DataObject, shape: tuple[int, ...], dtype: str, nd: bool) -> None:
    """Places are all different, as ONNX asks."""
    writer = Writer()
    x = writer.input("x", shape, dtype)
    if nd:
        depth = data.draw(st.integers(1, len(shape)))
        every = np.stack(np.unravel_index(np.arange(np.prod(shape[:depth])), shape[:depth]), -1)
        indices = writer.rng.permutation(every)[: data.draw(st.integers(1, len(every)))]
        updates, operator, attributes = (len(indices), *shape[depth:]), "ScatterND", {}
    else:
        axis = data.draw(st.integers(0, len(shape) - 1))
        indices = np.argsort(writer.rng.random(shape), axis)
        indices -= shape[axis] * writer.rng.integers(0, 2, shape)
        updates, operator, attributes = shape, "ScatterElements", {"axis": axis}
    y = writer.op(operator, x, writer.constant(indices), writer.input("u", updates, dtype), name="y", **attributes)
    check(writer.model(y))


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("index", ["int64", "float32"])
def test_one_hot(axis: int, index: str) -> None:
    """Indices beyond the depth light nothing."""
    writer = Writer()
    indices = writer.rng.integers(-7, 8, (3, 4)).astype(index)
    depth = writer.constant(np.array([5], index))
    values = writer.constant(np.array([-1, 2], index if index == "float32" else np.int64))
    y = writer.op("OneHot", writer.input("i", (3, 4), index), depth, values, name="y", axis=axis)
    check(writer.model(y), i=indices)


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("diagonal", [-2, 0, 1, 9])
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool"])
def test_trilu(upper: int, diagonal: int, dtype: str) -> None:
    writer = Writer()
    x = writer.input("x", (2, 3, 4), dtype)
    check(writer.model(writer.op("Trilu", x, writer.constant(np.array(diagonal)), name="y", upper=upper)))


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_and_space(mode: str) -> None:
    writer = Writer()
    x = writer.input("x", (2, 12, 4, 6))
    deep = writer.op("DepthToSpace", x, name="y", blocksize=2, mode=mode)
    flat = writer.op("SpaceToDepth", x, name="z", blocksize=2)
    check(writer.model(deep, flat))


SCALES = (0.3, 0.5, 0.6, 2 / 3, 0.9, 1.0, 1.1, 1.5, 2.0, 3.0)


@settings(some, max_examples=300)
@given(st.data())
def test_resize(data: st.DataObject) -> None:
    """Sizes or scales, along some axes, by every kind of interpolation, with every attribute that is for it."""
    draw = data.draw
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"]))
    opset = draw(st.sampled_from([13, 18, 20]))
    coordinates = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"]
    attributes: dict[str, Any] = {
        "mode": mode,
        "coordinate_transformation_mode": draw(st.sampled_from(coordinates + ["half_pixel_symmetric"] * (opset >= 19))),
    }
    rows = (draw(st.integers(1, 8)), draw(st.integers(1, 8)))
    ranks = [(), (1, 2), (2, 3)] if mode == "cubic" else [(), (1,), (1, 2), (2, 3)]
    shape = (*draw(st.sampled_from(ranks)), *rows)
    dtype = "float32"
    if mode == "nearest":
        attributes["nearest_mode"] = draw(st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
        dtype = draw(st.sampled_from(["float32", "int32", "uint8", "int8"]))
    elif opset >= 18:
        attributes["antialias"] = draw(st.integers(0, 1))
    if mode == "cubic":
        attributes["cubic_coeff_a"] = draw(st.sampled_from([-0.75, -0.5]))
    if mode == "cubic" or attributes.get("antialias"):
        attributes["exclude_outside"] = draw(st.integers(0, 1))
    axes = list(range(len(shape)))
    if opset >= 18 and draw(st.booleans()):
        axes = attributes["axes"] = draw(st.permutations(axes[-2:]))
    writer = Writer(opset=opset)
    x = writer.input("x", shape, dtype)
    region = ""
    if attributes["coordinate_transformation_mode"] == "tf_crop_and_resize":
        attributes["extrapolation_value"] = 3.0
        begins = [draw(st.sampled_from([-0.2, 0.0, 0.3])) if axis >= len(shape) - 2 else 0.0 for axis in axes]
        ends = [draw(st.sampled_from([0.5, 1.0, 1.3])) if axis >= len(shape) - 2 else 1.0 for axis in axes]
        region = writer.constant(np.float32(begins + ends))
    scales = {axis: np.float32(draw(st.sampled_from(SCALES))) if axis >= len(shape) - 2 else 1.0 for axis in axes}
    if draw(st.booleans()):
        factors = [scales[axis] if shape[axis] * scales[axis] >= 1 else 1.0 for axis in axes]
        y = writer.op("Resize", x, region, writer.constant(np.float32(factors)), name="y", **attributes)
    else:
        sizes = [max(1, round(shape[axis] * float(scales[axis]))) for axis in axes]
        y = writer.op("Resize", x, region, "", whole(writer, *sizes), name="y", **attributes)
    check(writer.model(y), 1e-4)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("coordinates", ["half_pixel_symmetric", "asymmetric", "half_pixel"])
@pytest.mark.parametrize("scales", [(0.5, 0.6), (1.1, 0.9), (1.1, 1.1)], ids=str)
def test_scales_that_do_not_divide(mode: str, coordinates: str, scales: tuple[float, float]) -> None:
    """The scale counts that is given, not the one of sizes; an image whose size stays is not touched at all."""
    writer = Writer()
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    factors = writer.constant(np.float32([1, 1, *scales]))
    check(writer.model(writer.op("Resize", writer.input("x", (1, 2, 5, 7)), "", factors, name="y", **attributes)), 1e-4)


@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil"])
@pytest.mark.parametrize(("given", "size"), [(7, 2), (7, 4), (10, 12), (7, 8)])
def test_what_is_nearly_in_the_middle_is_the_middle(given: int, size: int, nearest: str) -> None:
    """3.4999998 of 7 elements made 2: the float32 of a coordinate is not its tie."""
    writer = Writer()
    attributes = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": nearest}
    y = writer.op("Resize", writer.input("x", (given, 2)), "", "", whole(writer, size, 2), name="y", **attributes)
    check(writer.model(y))


@pytest.mark.parametrize("shape", [(1, 5, 6, 3), (2, 3, 2, 2)], ids=str)
def test_channels_last_are_resized_cubically(shape: tuple[int, ...]) -> None:
    writer = Writer()
    scales = writer.constant(np.float32([1, 1.1, 2.5, 1]))
    check(writer.model(writer.op("Resize", writer.input("x", shape), "", scales, name="y", mode="cubic")), 1e-4)


def test_crop_and_resize() -> None:
    writer = Writer()
    region = writer.constant(np.float32([0, 0, -0.2, 0.1, 1, 1, 0.6, 1.3]))
    x = writer.input("x", (1, 2, 6, 5))
    attributes = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0}
    y = writer.op("Resize", x, region, "", whole(writer, 1, 2, 7, 9), name="y", mode="linear", **attributes)
    assert check(writer.model(y), 1e-5) == ["Resize", "Pad"]


def test_a_crop_of_nothing_is_what_lies_outside() -> None:
    writer = Writer()
    region = writer.constant(np.float32([0, 0, 1.2, 0, 1, 1, 1.5, 1]))
    attributes = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 3.0}
    x = writer.input("x", (1, 2, 6, 5))
    check(writer.model(writer.op("Resize", x, region, "", whole(writer, 1, 2, 7, 9), name="y", **attributes)))


def test_linear_resizing_of_integers_is_refused() -> None:
    writer = Writer()
    x = writer.input("x", (1, 1, 4, 4), "uint8")
    y = writer.op("Resize", x, "", writer.constant(np.float32([1, 1, 2, 2])), name="y", mode="linear")
    with pytest.raises(UnsupportedError, match="mode 'linear' on uint8; openwork takes float32 here"):
        lower(writer.model(y))


def test_padding_with_a_value_of_run_time() -> None:
    writer = Writer()
    x, value = writer.input("x", (3, 4), "int32"), writer.input("value", (), "int32")
    y = writer.op("Pad", x, whole(writer, 2, -1, 0, 3), value, name="y")
    assert check(writer.model(y)) == ["Slice", "Pad", "Select"]
    writer = Writer()
    x, value = writer.input("x", (3, 4)), writer.input("value", ())
    y = writer.op("Pad", x, whole(writer, 2, 0, 0, 3), value, name="y", mode="edge")
    assert check(writer.model(y)) == ["Pad"]


def test_gather_from_outside_is_refused() -> None:
    writer = Writer()
    y = writer.op("Gather", writer.input("x", (3, 4)), whole(writer, 3), name="y")
    with pytest.raises(UnsupportedError, match="its indices lie outside an axis of 3"):
        lower(writer.model(y))


def test_constants_are_moved_once_and_for_all() -> None:
    """A weight that is transposed behind its DequantizeLinear is a weight."""
    writer = Writer()
    weight = writer.quantized_constant(writer.rng.integers(-99, 99, (3, 3, 2, 4)).astype(np.int8), np.float32(0.1))
    turned = writer.op("Transpose", weight, perm=[3, 2, 0, 1])
    assert check(writer.model(writer.op("Conv", writer.input("x", (1, 2, 5, 5)), turned, name="y")), 1e-3) == ["Conv"]
