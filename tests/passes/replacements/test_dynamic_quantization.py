"""Networks as onnxruntime's `quantize_dynamic` writes them: the same bits as in onnxruntime."""

import logging
from collections.abc import Callable
from pathlib import Path

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from onnxruntime.quantization import QuantType, quantize_dynamic

from openwork import InferenceSession
from openwork.deploy.compile import compile_model
from openwork.frontends import load_model
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.models import Writer, random_inputs
from tests.roads import run_as_written


def fully_connected(w: Writer) -> str:
    return w.gemm(w.input("x", (3, 40)), 40, 7)


def tokens(w: Writer) -> str:
    y = w.op("MatMul", w.input("x", (2, 5, 12)), w.constant(w.normal(12, 9)))
    return w.op("Relu", w.op("Add", y, w.constant(w.normal(9))))


def long_sums(w: Writer) -> str:
    """Sums beyond 2^24, which float32 does not hold."""
    return w.op("MatMul", w.input("x", (1, 1100)), w.constant(np.sign(w.normal(1100, 3))))


def images(w: Writer) -> str:
    y = w.op("Relu", w.conv(w.input("x", (1, 4, 6, 6)), 4, 4, 3, pads=1))
    y = w.conv(y, 4, 4, 3, group=4, strides=[2, 2])
    return w.gemm(w.op("Flatten", y), 16, 5)


@pytest.mark.parametrize("per_channel", [False, True], ids=["tensor", "channel"])
@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8], ids=lambda kind: kind.name)
@pytest.mark.parametrize("network", [fully_connected, tokens, long_sums, images], ids=lambda network: network.__name__)
def test_networks_of_quantize_dynamic(
    network: Callable[[Writer], str],
    kind: QuantType,
    per_channel: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR)
    w = Writer()
    proto = ir.to_proto(w.model(network(w)))
    del proto.graph.value_info[:]  # quantize_dynamic transposes weights whose shapes it would hold
    onnx.save(proto, tmp_path / "float.onnx")
    names = ["Conv", "Gemm", "MatMul"]
    quantize_dynamic(
        tmp_path / "float.onnx",
        tmp_path / "q.onnx",
        weight_type=kind,
        per_channel=per_channel,
        op_types_to_quantize=names,
    )
    model = load_model(tmp_path / "q.onnx")
    assert "DynamicQuantizeLinear" in {node.op_type for node in model.graph}
    inputs = random_inputs(model)
    (expected,) = run_as_written(model, inputs).values()
    canonicalise(model)
    (found,) = interpreter.run(lower(model), inputs).values()
    np.testing.assert_array_equal(found, expected, strict=True)
    if per_channel and kind == QuantType.QInt8:
        artifact = compile_model(model, tmp_path / "deploy", target=load_target("cpu"))
        with InferenceSession(artifact.directory) as session:
            np.testing.assert_array_equal(session.run(None, inputs)[0], expected)


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
        elements=st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, -1.0, 0.5, 1.5, 127.5, 255.0]),
    )
)
def test_every_array_is_quantized_as_in_onnxruntime(x: np.ndarray) -> None:
    """Zeros, and arrays of one sign, too."""
    w = Writer()
    w.input("x", x.shape)
    w.node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    model = w.model("zero", "y", "scale")
    expected = run_as_written(model, {"x": x})
    canonicalise(model)
    for name, array in interpreter.run(lower(model), {"x": x}).items():
        np.testing.assert_array_equal(array, expected[name], strict=True)
