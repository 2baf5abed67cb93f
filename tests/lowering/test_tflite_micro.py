"""The integers of TFLite Micro: one operator at a time, and the whole networks of MLPerf Tiny."""

import numpy as np
import pytest

from openwork.frontends import load_model
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.backends.cpu.programs import run_everywhere
from tests.frontends.test_tflite import INT8, file_of, input_for
from tests.frontends.test_tflite_operators import CASES, arrays_for, build, shapes_and_range
from tests.frontends.tflite_files import MicroPeer

# Operators whose every integer is TFLite Micro's.
EXACT = (
    "ADD", "AVERAGE_POOL_2D", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED",
    "MAX_POOL_2D", "MEAN", "PAD", "QUANTIZE", "RELU", "RESHAPE", "SOFTMAX", "SPLIT", "TRANSPOSE",
)  # fmt: skip
# Operators that compute from tables or in floats here, in other fixed-point formulas there: within one step.
NEAR = ("HARD_SWISH", "LEAKY_RELU", "LOGISTIC", "TANH", "TRANSPOSE_CONV", "RESIZE_BILINEAR")
RUNS = [
    (case, dtype)
    for case in CASES
    for dtype in case.dtypes
    if (case.operator in EXACT and dtype in ("int8", "int16")) or (case.operator in NEAR and dtype == "int8")
]


def lowered(path):
    model = load_model(path)
    canonicalise(model)
    return model, lower(model)


@pytest.mark.parametrize(("case", "dtype"), RUNS, ids=[f"{case.operator}-{dtype}" for case, dtype in RUNS])
def test_an_operator(tmp_path, case, dtype):
    file = build(case, dtype, *shapes_and_range(case))
    path = tmp_path / "model.tflite"
    path.write_bytes(file.content())
    peer, (_, program) = MicroPeer(file.content()), lowered(path)
    for _ in range(5):
        arrays = arrays_for(file, case)
        results = interpreter.run(program, dict(zip(program.inputs, arrays, strict=True)))
        for ours, theirs in zip(results.values(), peer.run(arrays), strict=True):
            away = np.abs(ours.astype(int) - theirs.astype(int))
            assert away.max() <= (0 if case.operator in EXACT else 1)


def inputs_for(model):
    """Noise over the whole range, and images that are nearly constant, so that not every output is saturated."""
    for seed in range(4):
        noise = input_for(model, seed)
        yield noise
        yield (noise // 2 ** (seed + 1) + 20 * seed).astype(np.int8)


@pytest.mark.parametrize("name", INT8)
def test_a_network_of_mlperf_tiny(name):
    """The interpreter and the compiled library, on every instruction set: each bit is TFLite Micro's."""
    path = file_of(name)
    peer, (model, program) = MicroPeer(path.read_bytes()), lowered(path)
    assert program.notes == ()
    (source,), (target,) = program.inputs, program.outputs
    seen = set()
    for x in inputs_for(model):
        (expected,) = peer.run([x])
        np.testing.assert_array_equal(interpreter.run(program, {source: x})[target], expected)
        seen |= {*expected.ravel().tolist()}
    assert len(seen) > 4, "outputs that are all saturated say nothing"
    for isa, outputs in run_everywhere(program, {source: x}):
        np.testing.assert_array_equal(outputs[target], expected, err_msg=isa)
