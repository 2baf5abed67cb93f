"""Integers that go from one scale to another: ONNX rounds twice, and so does openwork, for every integer there is."""

from collections.abc import Callable
from itertools import product

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from openwork.lowering import Lookup, Rescale, interpreter, lower
from openwork.passes import canonicalise
from tests.backends.cpu.programs import run_everywhere
from tests.models import Writer
from tests.roads import run_as_written

# Most of these pairs have integers whose real lies in the middle between two others.
SCALES = (0.05, 0.02, 0.1, 0.04, 0.03, 0.007, 0.0125, 1 / 3, 0.25)
DTYPES = list(product(("int8", "uint8"), repeat=2))


def whole(writer: Writer, *numbers: int) -> str:
    return writer.constant(np.array(numbers, np.int64))


def clipped(writer: Writer, x: str, low: float, high: float) -> str:
    return writer.op("Clip", x, writer.constant(np.float32(low)), writer.constant(np.float32(high)))


BETWEEN: dict[str, Callable[[Writer, str], str]] = {
    "nothing": lambda w, x: x,
    "flatten": lambda w, x: w.op("Flatten", x),
    "reshape": lambda w, x: w.op("Reshape", x, whole(w, 1, 256)),
    "transpose": lambda w, x: w.op("Transpose", x, perm=[0, 2, 3, 1]),
    "slice": lambda w, x: w.op("Slice", x, whole(w, 1), whole(w, 16), whole(w, 2)),
    "max pool": lambda w, x: w.op("MaxPool", x, kernel_shape=[2, 2]),
    "pad": lambda w, x: w.op("Pad", x, whole(w, 0, 0, 1, 0, 0, 0, 0, 2)),
    "relu": lambda w, x: w.op("Relu", x),
    "clip": lambda w, x: clipped(w, x, -0.33, 1.7),
    "flatten and relu": lambda w, x: w.op("Relu", w.op("Flatten", x)),
    "concat": lambda w, x: w.op("Concat", x, x, axis=1),
    "nearest": lambda w, x: w.op("Resize", x, "", w.constant(np.float32([1, 1, 2, 2])), mode="nearest"),
}

EVERY_BYTE = np.random.default_rng(0).permutation(256).astype(np.uint8).reshape(1, 1, 16, 16)


def network(between: str, of: str, to: str, scales: list[tuple[float, float]]) -> ir.Model:
    """An output for each pair of scales."""
    writer, outputs = Writer(), []
    x = writer.input("x", EVERY_BYTE.shape, of)
    for index, (one, other) in enumerate(scales):
        real = writer.dequantize(x, one, 3 if of == "int8" else 120, of)
        y = BETWEEN[between](writer, real)
        outputs.append(writer.quantize(y, other, -5 if to == "int8" else 131, to, name=f"y{index}"))
    return writer.model(*outputs)


def lowered(model: ir.Model, of: str) -> tuple[dict[str, NDArray[np.generic]], dict[str, NDArray[np.generic]]]:
    """Inputs, and what onnxruntime makes of them node by node."""
    inputs: dict[str, NDArray[np.generic]] = {"x": EVERY_BYTE.view(of)}
    return inputs, run_as_written(model, inputs)


@pytest.mark.parametrize(("of", "to"), DTYPES)
@pytest.mark.parametrize("between", list(BETWEEN))
def test_all_integers_between_all_scales(between: str, of: str, to: str) -> None:
    model = network(between, of, to, list(product(SCALES, repeat=2)))
    inputs, expected = lowered(model, of)
    canonicalise(model)
    results = interpreter.run(lower(model), inputs)
    for name, right in expected.items():
        np.testing.assert_array_equal(results[name], right, err_msg=name)


@pytest.mark.parametrize(("of", "to"), DTYPES)
def test_inputs_of_a_concat_keep_two_roundings(of: str, to: str) -> None:
    """Each has a scale of its own, the smallest and the largest that float32 has among them."""
    writer = Writer()
    x = writer.input("x", EVERY_BYTE.shape, of)
    parts = [writer.dequantize(x, scale, 1, of) for scale in (*SCALES, 1e-38, 3e38)]
    model = writer.model(writer.quantize(writer.op("Concat", *parts, axis=1), 0.02, 7, to, name="y"))
    inputs, expected = lowered(model, of)
    canonicalise(model)
    program = lower(model)
    assert {type(step) for step in program.steps} >= {Lookup, Rescale}, "where one multiplication is exact it is used"
    np.testing.assert_array_equal(interpreter.run(program, inputs)["y"], expected["y"])


@pytest.mark.parametrize(("of", "to"), DTYPES)
def test_libraries_round_twice(of: str, to: str) -> None:
    """The case that is known to differ at 12 of 256 integers, and a pair that needs no table, through each move."""
    writer, outputs = Writer(), []
    x = writer.input("x", EVERY_BYTE.shape, of)
    for index, (between, one) in enumerate(product(BETWEEN, (0.05, 0.0321))):
        y = BETWEEN[between](writer, writer.dequantize(x, one, 9, of))
        outputs.append(writer.quantize(y, 0.02, 100, to, name=f"y{index}"))
    model = writer.model(*outputs)
    inputs, expected = lowered(model, of)
    canonicalise(model)
    for _, results in run_everywhere(lower(model), inputs):
        for name, right in expected.items():
            np.testing.assert_array_equal(results[name], right, err_msg=name)


@pytest.mark.parametrize("dtype", ["int16", "uint16"])
def test_wide_integers_round_twice(dtype: str) -> None:
    writer = Writer(opset=21)
    x = writer.input("x", (1, 256, 256), dtype)
    real = writer.op("Transpose", writer.dequantize(x, 0.05, 9, dtype), perm=[0, 2, 1])
    model = writer.model(writer.quantize(real, 0.02, 100, dtype, name="y"), writer.quantize(real, 0.03, 1, name="z"))
    inputs = {"x": np.arange(2**16, dtype=np.uint16).view(dtype).reshape(1, 256, 256)}
    expected = run_as_written(model, inputs)
    canonicalise(model)
    results = interpreter.run(lower(model), inputs)
    for name, right in expected.items():
        np.testing.assert_array_equal(results[name], right, err_msg=name)
