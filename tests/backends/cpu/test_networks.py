"""Whole networks through lowering and generated code, on every instruction set and several numbers of threads."""

import numpy as np
import pytest

from openwork.backends.cpu.steps import make_plan
from openwork.graph import add_initializer, constant
from openwork.lowering import lower
from openwork.passes import canonicalise
from openwork.quantization import calibrate, quantize
from tests.backends.cpu.programs import check_everywhere
from tests.models import conv_net, mobile_net, quantized, random_inputs, residual_net

NETWORKS = (conv_net, residual_net, mobile_net)


def cut(model, sparsity, seed=0):
    """Set random weights of all convolutions and classifiers to zero."""
    rng = np.random.default_rng(seed)
    for node in list(model.graph):
        if node.op_type in ("Conv", "Gemm"):
            weight = constant(node.inputs[1])
            zeros = (weight * (rng.random(weight.shape) >= sparsity)).astype(weight.dtype)
            node.replace_input_with(1, add_initializer(model.graph, f"{node.name}.cut", zeros))
    return model


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("network", NETWORKS)
def test_float_networks(network, sparsity):
    check_everywhere(lower(cut(network(), sparsity)), np.random.default_rng(0))


@pytest.mark.parametrize("sparsity", [0.0, 0.9])
@pytest.mark.parametrize("network", NETWORKS)
def test_our_quantized_networks(network, sparsity):
    model = cut(network(), sparsity)
    ranges = calibrate(model, [random_inputs(model, seed) for seed in range(4)])
    program = lower(quantize(model, ranges))
    assert any(getattr(step, "requantize", None) for step in program.steps)
    check_everywhere(program, np.random.default_rng(0))


@pytest.mark.parametrize("network", NETWORKS)
def test_networks_quantized_by_onnxruntime(network):
    model = quantized(network())
    canonicalise(model)
    check_everywhere(lower(model), np.random.default_rng(0))


@pytest.mark.parametrize("threads", [1, 3, 8])
def test_any_number_of_threads(threads):
    check_everywhere(lower(cut(residual_net(), 0.5)), np.random.default_rng(0), threads=threads)


def test_dense_and_sparse_weights_choose_their_kernels():
    def kernels(sparsity):
        return {call.kernel for call in make_plan(lower(cut(residual_net(), sparsity)), 1).calls}

    assert {"f32_conv_rows4", "f32_fully_connected_dense"} <= kernels(0.0)
    assert {"f32_conv_rows1", "f32_fully_connected_sparse"} <= kernels(0.9)
