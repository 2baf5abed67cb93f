"""Every operator of TFLite that has a rule, in files of one operator, against TFLite's own interpreter."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from openwork.frontends import load_model
from openwork.frontends.tflite.operators import OPERATORS
from openwork.graph import evaluate, rounding_of
from openwork.passes import canonicalise
from tests.frontends.tflite_files import File, MicroPeer, Operator, Peer

RANDOM = np.random.default_rng(7)


@dataclass
class Given:
    """An input of the graph."""

    shape: tuple[int, ...]
    low: float = -2.0
    high: float = 2.0
    dtype: str | None = None  # one that never is quantized


@dataclass
class Weight:
    """A constant that is quantized symmetrically, per channel along `axis`."""

    array: np.ndarray
    axis: int | None = 0


@dataclass
class Bias:
    array: np.ndarray


@dataclass
class Case:
    """One operator.

    inputs: above; float arrays are constants quantized per tensor, integer arrays are taken as they are.
    dtypes: to try. scale: of the output, as (scale, zero point), "same" as of the first input, or from its range.
    result: the output's dtype where it is not that of the inputs. shape: of the output, where TFLite wants to know it.
    micro: whether to ask TFLite Micro, where the other interpreter answers wrong.
    """

    operator: str
    inputs: Sequence[Any]
    kind: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    dtypes: Sequence[str] = ("float32", "int8")
    outputs: int = 1
    scale: Any = None
    result: str | None = None
    shape: tuple[int, ...] = (1,)
    steps: int = 1
    micro: bool = False


def floats(*shape, low=-1.0, high=1.0):
    return RANDOM.uniform(low, high, shape).astype(np.float32)


def ints(*numbers):
    return np.array(numbers, np.int32)


def integer_range(dtype):
    limits = np.iinfo(dtype)
    return (-limits.max, limits.max) if dtype == "int16" else (limits.min, limits.max)


def params(low, high, dtype):
    """Scale and zero point that cover a range and zero; int16 is symmetric, as TFLite asks for."""
    low, high = min(float(low), -1e-3), max(float(high), 1e-3)
    least, most = integer_range(dtype)
    if dtype == "int16":
        return np.float32(max(-low, high) / most), 0
    scale = np.float32((high - low) / (most - least))
    return scale, int(np.clip(round(least - low / scale), least, most))


def quantized(array, scale, zero_point, dtype):
    limits = np.iinfo(dtype)
    return np.clip(np.rint(array / scale) + zero_point, limits.min, limits.max).astype(dtype)


def build(case, dtype, shapes, range_of_output=None):
    """The file of a case; the output's range comes from the float file."""
    file = File()
    indices, scales = [], []
    activation = None  # scale, zero point of the first activation
    for number, item in enumerate(case.inputs):
        name = f"in{number}"
        if item is None:
            indices.append(-1)
        elif isinstance(item, Given):
            quantize = item.dtype is None and dtype != "float32"
            scale, zero = params(item.low, item.high, dtype) if quantize else (None, None)
            index = file.add(name, item.shape, item.dtype or dtype, None, *(([scale], [zero]) if quantize else ()))
            activation = activation or (scale, zero)
            file.inputs.append(index)
            indices.append(index)
        elif isinstance(item, Weight) and dtype != "float32":
            axes = tuple(axis for axis in range(item.array.ndim) if axis != item.axis)
            scale = (np.abs(item.array).max(axis=axes, keepdims=True) / 127).astype(np.float32)
            data = quantized(item.array, scale, 0, "int8")
            scales = scale.reshape(-1)
            indices.append(file.add(name, data.shape, "int8", data, scales.tolist(), [0] * len(scales), item.axis or 0))
        elif isinstance(item, Bias) and dtype != "float32":
            first = next(given for given in case.inputs if isinstance(given, Given))
            scale = params(first.low, first.high, dtype)[0] * scales
            data = np.rint(item.array / scale).astype("int64" if dtype == "int16" else "int32")
            indices.append(file.add(name, data.shape, data.dtype.name, data, scale.tolist(), [0] * len(scale)))
        else:
            array = item.array if isinstance(item, (Weight, Bias)) else item
            if array.dtype == np.float32 and dtype != "float32":
                scale, zero = (
                    activation if case.scale == "same" and activation else params(array.min(), array.max(), dtype)
                )
                data = quantized(array, scale, zero, dtype)
                activation = activation or (scale, zero)
                indices.append(file.add(name, data.shape, dtype, data, [scale], [zero]))
            else:
                indices.append(file.add(name, array.shape, array.dtype.name, array))
    for number, shape in enumerate(shapes):
        if case.result or dtype == "float32":
            file.outputs.append(file.add(f"out{number}", shape, case.result or dtype))
        else:
            scale = activation if case.scale == "same" else case.scale or params(*range_of_output, dtype)
            file.outputs.append(file.add(f"out{number}", shape, dtype, None, [scale[0]], [scale[1]]))
    file.operators.append(Operator(case.operator, indices, file.outputs, case.kind, case.options))
    return file


def arrays_for(file, case):
    """Random inputs over the ranges of the case."""
    given = [item for item in case.inputs if isinstance(item, Given)]
    arrays = []
    for index, item in zip(file.inputs, given, strict=True):
        tensor = file.tensors[index]
        real = RANDOM.uniform(item.low, item.high, item.shape)
        if tensor.scale:
            arrays.append(quantized(real, tensor.scale[0], tensor.zero_point[0], tensor.dtype))
        else:
            arrays.append(real.astype(tensor.dtype))
    return arrays


IMAGE = Given((1, 7, 6, 4))
POOL = {"Padding": 0, "StrideW": 2, "StrideH": 2, "FilterWidth": 3, "FilterHeight": 2}
ROW = Given((3, 8))
CONV = {"Padding": 0, "StrideW": 1, "StrideH": 1, "DilationWFactor": 1, "DilationHFactor": 1}
CONV_INPUTS = [IMAGE, Weight(floats(5, 3, 2, 4)), Bias(floats(5))]
DEPTHWISE_INPUTS = [IMAGE, Weight(floats(1, 3, 3, 8), 3), Bias(floats(8))]
UNARY = [Given((2, 3, 4, 5))]
POSITIVE = [Given((2, 3, 4, 5), 0.1, 3.0)]
FLOAT = ("float32",)
ALL = ("float32", "int8", "uint8", "int16")
HALF = (1 / 256, -128)


def same(operator, inputs, kind="", options=None, **more):
    return Case(operator, inputs, kind, options or {}, **{"scale": "same", "steps": 0, **more})


CASES = [
    Case("CONV_2D", CONV_INPUTS, "Conv2DOptions", CONV, dtypes=("float32", "int8", "int16")),
    Case("CONV_2D", CONV_INPUTS, "Conv2DOptions", {**CONV, "Padding": 1, "FusedActivationFunction": 1}),
    Case("CONV_2D", CONV_INPUTS, "Conv2DOptions", {**CONV, "StrideW": 2, "StrideH": 3, "FusedActivationFunction": 3}),
    Case("CONV_2D", CONV_INPUTS, "Conv2DOptions", {**CONV, "DilationWFactor": 2, "FusedActivationFunction": 2}),
    Case("CONV_2D", [IMAGE, Weight(floats(6, 1, 1, 2)), Bias(floats(6))], "Conv2DOptions", CONV),
    Case("DEPTHWISE_CONV_2D", DEPTHWISE_INPUTS, "DepthwiseConv2DOptions", {**CONV, "DepthMultiplier": 2}),
    Case(
        "DEPTHWISE_CONV_2D",
        [IMAGE, Weight(floats(1, 3, 3, 4), 3), Bias(floats(4))],
        "DepthwiseConv2DOptions",
        {**CONV, "DepthMultiplier": 1, "StrideW": 2, "StrideH": 2, "FusedActivationFunction": 1},
        dtypes=("float32", "int8", "int16"),
    ),
    Case(
        "TRANSPOSE_CONV",
        [ints(1, 14, 12, 5), Weight(floats(5, 3, 3, 4)), IMAGE],
        "TransposeConvOptions",
        {"Padding": 0, "StrideW": 2, "StrideH": 2},
    ),
    Case(
        "TRANSPOSE_CONV",
        [ints(1, 15, 12, 5), Weight(floats(5, 3, 2, 4)), IMAGE, Bias(floats(5))],
        "TransposeConvOptions",
        {"Padding": 1, "StrideW": 2, "StrideH": 2, "FusedActivationFunction": 1},
    ),
    Case(
        "FULLY_CONNECTED",
        [ROW, Weight(floats(5, 8), None), Bias(floats(5))],
        "FullyConnectedOptions",
        {"FusedActivationFunction": 1},
        dtypes=("float32", "int8", "int16"),
    ),
    Case("FULLY_CONNECTED", [Given((2, 3, 4)), Weight(floats(5, 12), None), None], "FullyConnectedOptions"),
    Case(
        "FULLY_CONNECTED",
        [Given((2, 3, 4)), Weight(floats(5, 4), None), Bias(floats(5))],
        "FullyConnectedOptions",
        {"KeepNumDims": True},
    ),
    Case("FULLY_CONNECTED", [ROW, Weight(floats(5, 8)), Bias(floats(5))], "FullyConnectedOptions"),
    Case("BATCH_MATMUL", [Given((2, 3, 4)), Given((2, 4, 5))], "BatchMatMulOptions"),
    Case("BATCH_MATMUL", [Given((2, 4, 3)), Given((2, 5, 4))], "BatchMatMulOptions", {"AdjX": True, "AdjY": True}),
    *(
        Case(
            name,
            [Given((1, 3, 4, 5)), Given((1, 3, 4, 5), 0.5, 3)],
            f"{name.title()}Options",
            dtypes=("float32", "int8"),
        )
        for name in ("ADD", "SUB", "MUL")
    ),
    Case("ADD", [Given((1, 3, 4, 5)), Given((5,))], "AddOptions", {"FusedActivationFunction": 1}),
    Case("ADD", [Given((1, 3, 4, 5)), floats(5)], "AddOptions", {"FusedActivationFunction": 3}, dtypes=ALL[:3]),
    Case("MUL", [floats(4, 1), Given((1, 3, 4, 5))], "MulOptions"),
    Case("DIV", [Given((1, 3, 4, 5)), Given((1, 3, 4, 5), 0.5, 3)], "DivOptions", dtypes=("float32",)),
    Case("MINIMUM", [Given((2, 3)), Given((2, 3))], scale="same"),
    Case("MAXIMUM", [Given((2, 3)), floats(3)], scale="same"),
    Case("POW", [Given((2, 3), 0.1), Given((2, 3))], dtypes=FLOAT),
    Case("SQUARED_DIFFERENCE", [Given((2, 3)), Given((1, 3))]),
    *(
        Case(name, [Given((2, 5)), Given((2, 5))], result="bool")
        for name in ("EQUAL", "LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL")
    ),
    *(
        Case(name, [Given((9,), 0, 2, "bool"), Given((9,), 0, 2, "bool")], result="bool", dtypes=FLOAT)
        for name in ("LOGICAL_AND", "LOGICAL_OR")
    ),
    Case("LOGICAL_NOT", [Given((9,), 0, 2, "bool")], result="bool", dtypes=FLOAT),
    Case("SELECT_V2", [Given((3, 4), 0, 2, "bool"), Given((3, 4)), Given((1, 4))], dtypes=FLOAT),
    *(Case(name, UNARY, dtypes=FLOAT) for name in ("CEIL", "COS", "ELU", "FLOOR", "NEG", "ROUND", "SIN", "SQUARE")),
    *(Case(name, POSITIVE) for name in ("RSQRT",)),
    *(Case(name, POSITIVE, dtypes=FLOAT) for name in ("LOG", "SQRT")),
    Case("ABS", UNARY),
    Case("EXP", UNARY, "ExpOptions"),
    Case("RELU", UNARY, dtypes=ALL[:3]),
    Case("RELU6", [Given((2, 3), -9, 9)]),
    Case("RELU_N1_TO_1", UNARY),
    Case("RELU_0_TO_1", UNARY),
    Case("LEAKY_RELU", UNARY, "LeakyReluOptions", {"Alpha": 0.2}),
    Case("PRELU", [IMAGE, floats(1, 1, 4, low=0)]),
    Case("HARD_SWISH", [Given((2, 3, 4, 5), -5, 5)], "HardSwishOptions"),
    Case("GELU", UNARY, "GeluOptions", {"Approximate": False}),
    Case("GELU", UNARY, "GeluOptions", {"Approximate": True}),
    Case("LOGISTIC", UNARY, scale=HALF),
    Case("TANH", UNARY, scale=(1 / 128, 0)),
    Case("SOFTMAX", [ROW], "SoftmaxOptions", {"Beta": 1.0}, scale=HALF),
    Case("SOFTMAX", [Given((1, 2, 3, 4))], "SoftmaxOptions", {"Beta": 0.5}, scale=HALF),
    Case("LOG_SOFTMAX", [ROW], scale=(16 / 256, 127)),
    Case("L2_NORMALIZATION", [ROW], "L2NormOptions", scale=(1 / 128, 0)),
    Case("QUANTIZE", [Given((2, 9), dtype="float32")], "QuantizeOptions", dtypes=("int8", "uint8", "int16")),
    Case("QUANTIZE", [Given((2, 9))], "QuantizeOptions", dtypes=("int8", "uint8"), scale=(0.05, 3)),
    Case("DEQUANTIZE", [Given((2, 9))], "DequantizeOptions", dtypes=("int8", "uint8", "int16"), result="float32"),
    Case("DEQUANTIZE", [floats(5).astype(np.float16)], "DequantizeOptions", dtypes=FLOAT),
    Case("CAST", [Given((2, 9), -9, 9, "int32")], "CastOptions", dtypes=FLOAT),
    Case("CAST", [Given((2, 9), -9, 9, "float32")], "CastOptions", dtypes=FLOAT, result="int32"),
    Case("AVERAGE_POOL_2D", [IMAGE], "Pool2DOptions", POOL, dtypes=ALL, scale="same"),
    Case("AVERAGE_POOL_2D", [IMAGE], "Pool2DOptions", {**POOL, "FusedActivationFunction": 1}, scale="same"),
    same("MAX_POOL_2D", [IMAGE], "Pool2DOptions", POOL, dtypes=ALL),
    same("MAX_POOL_2D", [IMAGE], "Pool2DOptions", {**POOL, "Padding": 1, "FusedActivationFunction": 1}),
    *(
        Case("RESIZE_BILINEAR", [IMAGE, ints(9, 13)], "ResizeBilinearOptions", options, scale="same")
        for options in ({}, {"AlignCorners": True}, {"HalfPixelCenters": True})
    ),
    *(
        same("RESIZE_NEAREST_NEIGHBOR", [IMAGE, ints(9, 13)], "ResizeNearestNeighborOptions", options, dtypes=ALL)
        for options in ({}, {"AlignCorners": True}, {"HalfPixelCenters": True})
    ),
    same("DEPTH_TO_SPACE", [IMAGE], "DepthToSpaceOptions", {"BlockSize": 2}, dtypes=ALL[:3]),
    same("SPACE_TO_DEPTH", [Given((1, 4, 6, 3))], "SpaceToDepthOptions", {"BlockSize": 2}, dtypes=ALL[:3]),
    *(
        Case(name, [IMAGE, ints(1, 2)], "ReducerOptions", {"KeepDims": keep}, micro=name == "SUM")
        for name in ("MEAN", "SUM")
        for keep in (True, False)
    ),
    Case("MEAN", [IMAGE, ints(-1)], "ReducerOptions", {"KeepDims": True}, scale="same"),
    Case("REDUCE_MAX", [IMAGE, ints(3, 1)], "ReducerOptions", {"KeepDims": True}, scale="same"),
    Case("REDUCE_MIN", [IMAGE, ints(2)], "ReducerOptions", scale="same"),
    Case("REDUCE_PROD", [IMAGE, ints(3)], "ReducerOptions", dtypes=FLOAT),
    Case("ARG_MAX", [IMAGE, np.int32(3)], "ArgMaxOptions", {"OutputType": 2}, result="int32"),
    Case("ARG_MIN", [IMAGE, np.int32(1)], "ArgMinOptions", {"OutputType": 4}, result="int64", dtypes=FLOAT),
    same("RESHAPE", [IMAGE, ints(2, -1)], "ReshapeOptions", {"NewShape": [2, -1]}, dtypes=ALL),
    same("SQUEEZE", [Given((1, 3, 1, 4))], "SqueezeOptions", {"SqueezeDims": [0, 2]}, dtypes=ALL[:2]),
    same("EXPAND_DIMS", [ROW, np.int32(1)], "ExpandDimsOptions"),
    same("TRANSPOSE", [IMAGE, ints(0, 2, 1, 3)], "TransposeOptions", dtypes=ALL),
    same("CONCATENATION", [IMAGE, Given((1, 7, 6, 2)), floats(1, 7, 6, 1)], "ConcatenationOptions", {"Axis": -1}),
    Case("CONCATENATION", [ROW, Given((2, 8), -3, 1)], "ConcatenationOptions", {"Axis": 0}, dtypes=("uint8",)),
    same("PAD", [IMAGE, ints(0, 0, 1, 2, 3, 0, 0, 1).reshape(4, 2)], "PadOptions", dtypes=ALL),
    same("PADV2", [IMAGE, ints(0, 0, 1, 2, 3, 0, 0, 0).reshape(4, 2), np.float32(0.7)], "PadV2Options", dtypes=ALL[:3]),
    same("MIRROR_PAD", [ROW, ints(1, 2, 3, 4).reshape(2, 2)], "MirrorPadOptions", {"Mode": 0}),
    same("MIRROR_PAD", [ROW, ints(1, 0, 1, 1).reshape(2, 2)], "MirrorPadOptions", {"Mode": 1}),
    same("SLICE", [IMAGE, ints(0, 1, 2, 1), ints(1, 3, -1, 2)], "SliceOptions", dtypes=ALL, shape=(1, 3, 4, 2)),
    same("STRIDED_SLICE", [IMAGE, ints(0, 1, -2, 0), ints(1, 6, -6, 4), ints(1, 2, -1, 3)], "StridedSliceOptions"),
    same(
        "STRIDED_SLICE",
        [IMAGE, ints(0, 9, -2), ints(1, 0, 0), ints(1, -1, 1)],
        "StridedSliceOptions",
        {"BeginMask": 1, "EndMask": 2, "ShrinkAxisMask": 4},
        dtypes=ALL,
    ),
    same("SPLIT", [np.int32(-1), IMAGE], "SplitOptions", {"NumSplits": 2}, outputs=2, dtypes=ALL),
    same("SPLIT_V", [IMAGE, ints(1, 3), np.int32(3)], "SplitVOptions", {"NumSplits": 2}, outputs=2),
    same("PACK", [ROW, ROW, floats(3, 8)], "PackOptions", {"Axis": 1, "ValuesCount": 3}),
    same("UNPACK", [ROW], "UnpackOptions", {"Axis": 0, "Num": 3}, outputs=3),
    same("GATHER", [ROW, ints(7, 0, 7)], "GatherOptions", {"Axis": 1}, dtypes=ALL[:3]),
    Case("EMBEDDING_LOOKUP", [Given((4,), 0, 6, "int32"), floats(6, 5)], dtypes=FLOAT),
    same("BROADCAST_TO", [Given((3, 1)), ints(2, 3, 4)]),
    same("TILE", [ROW, ints(2, 3)], "TileOptions", dtypes=FLOAT),
    Case("SHAPE", [IMAGE], "ShapeOptions", {"OutType": 2}, dtypes=FLOAT, result="int32"),
]

RUNS = [(case, dtype) for case in CASES for dtype in case.dtypes]


def shapes_and_range(case):
    """The shapes of the outputs, and the range of their numbers, according to the interpreter run in floats."""
    if case.operator in ("QUANTIZE", "DEQUANTIZE"):  # which there are not in floats
        return [case.inputs[0].shape], (-2, 2)
    unknown = build(case, "float32", [case.shape] * case.outputs)
    shapes = Peer(unknown.content()).output_shapes()
    file = build(case, "float32", shapes)
    outputs = Peer(file.content()).run(arrays_for(file, case))
    return shapes, (min(array.min() for array in outputs), max(array.max() for array in outputs))


@pytest.mark.parametrize(("case", "dtype"), RUNS, ids=[f"{case.operator}-{dtype}" for case, dtype in RUNS])
def test_agrees_with_tflite(tmp_path, case, dtype):
    shapes, span = shapes_and_range(case)
    file = build(case, dtype, shapes, span)
    path = tmp_path / "model.tflite"
    path.write_bytes(file.content())
    peer, model = (MicroPeer if case.micro and dtype == "int8" else Peer)(file.content()), load_model(path)
    canonical = load_model(path)
    canonicalise(canonical)
    names = [file.tensors[index].name for index in file.inputs]
    assert [value.name for value in canonical.graph.inputs] == names
    for _ in range(3):
        arrays = arrays_for(file, case)
        expected = peer.run(arrays)
        for graph in (model, canonical):
            actual = evaluate(graph, dict(zip(names, arrays, strict=True)))
            assert [*actual] == [file.tensors[index].name for index in file.outputs]
            for ours, theirs in zip(actual.values(), expected, strict=True):
                assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
                if ours.dtype.kind == "f":
                    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
                else:
                    away = np.abs(ours.astype(np.int64) - theirs.astype(np.int64))
                    assert away.max() <= (case.steps if ours.dtype.kind != "b" else 0)


def test_every_rule_has_a_case():
    assert {case.operator for case in CASES} == set(OPERATORS)


def test_integer_networks_ask_for_tflites_rounding(tmp_path):
    for dtype, rounding in (("float32", "float32"), ("int8", "q31")):
        path = tmp_path / f"{dtype}.tflite"
        path.write_bytes(build(CASES[0], dtype, *shapes_and_range(CASES[0])).content())
        assert rounding_of(load_model(path)) == rounding
