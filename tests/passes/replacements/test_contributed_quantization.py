"""QuantizeLinear and DequantizeLinear of onnxruntime's own domain, and weights of four bits in blocks."""

import ml_dtypes
import numpy as np
import onnx_ir as ir
import pytest
from onnx import helper, numpy_helper

from openwork.graph import evaluate
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from tests.models import random_inputs
from tests.roads import run_as_written


def network(
    weight: np.ndarray, scale: np.ndarray, zero: np.ndarray | None, domain: str, opset: int, **attributes: int
) -> ir.Model:
    """x[2, 6] @ DequantizeLinear(weight)."""
    arrays = {"w": weight, "s": scale} | ({} if zero is None else {"z": zero})
    nodes = [
        helper.make_node("DequantizeLinear", list(arrays), ["r"], domain=domain, **attributes),
        helper.make_node("MatMul", ["x", "r"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(name, 1, (2, size)) for name, size in (("x", 6), ("y", 4)))
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(a, name) for name, a in arrays.items()])
    versions = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return ir.from_proto(helper.make_model(graph, opset_imports=versions, ir_version=10))


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(("domain", "opset"), [("", 21), ("com.microsoft", 21), ("com.microsoft", 17)])
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, ml_dtypes.int4, ml_dtypes.uint4])
def test_weights_of_every_width(dtype: type, domain: str, opset: int) -> None:
    weight = RANDOM.integers(0, 8, (6, 4)).astype(dtype)
    model = network(
        weight, np.float32([0.1, 0.2, 0.3, 0.4]), np.array([1, 2, 0, 3]).astype(dtype), domain, opset, axis=1
    )
    assert_as_in_onnxruntime(model)


@pytest.mark.parametrize("dtype", [np.int8, ml_dtypes.int4])
@pytest.mark.parametrize("block", [2, 4])
def test_scales_of_blocks(dtype: type, block: int) -> None:
    """The last block may be shorter."""
    blocks = -(-6 // block)
    scale = RANDOM.random((blocks, 4), np.float32)
    zero = RANDOM.integers(0, 3, (blocks, 4)).astype(dtype)
    weight = RANDOM.integers(-8, 8, (6, 4)).astype(dtype)
    for zeros in (zero, None):
        assert_as_in_onnxruntime(network(weight, scale, zeros, "", 21, axis=0, block_size=block))


@pytest.mark.parametrize("dtype", [np.int8, ml_dtypes.int4])
def test_the_reference_multiplies_floats(dtype: type) -> None:
    """onnxruntime, left alone, makes integers of the floats that meet such weights: far off what the file means."""
    weight, scale = RANDOM.integers(-8, 8, (6, 4)).astype(dtype), np.float32([0.1, 0.2, 0.3, 0.4])
    model = network(weight, scale, None, "", 21, axis=1)
    inputs = random_inputs(model)
    canonicalise(model)
    np.testing.assert_allclose(evaluate(model, inputs)["y"], run_as_written(model, inputs)["y"], rtol=1e-5, atol=1e-5)


def assert_as_in_onnxruntime(model: ir.Model) -> None:
    inputs = random_inputs(model)
    expected = run_as_written(model, inputs)["y"]
    canonicalise(model)
    np.testing.assert_allclose(interpreter.run(lower(model), inputs)["y"], expected, rtol=1e-5, atol=1e-5)
