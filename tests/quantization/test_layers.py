"""What is told of each layer."""

import numpy as np

from openwork.quantization import calibrate, quantize, quantized_layers, strategy
from tests.quantization.networks import batches, network, residual_network


def test_layers_of_a_network():
    model = residual_network(density=0.3)
    table = calibrate(model, batches(model, 2))
    excluded = next(node.name for node in model.graph if node.op_type == "Conv")
    layers = quantized_layers(quantize(model, table, exclude=[excluded]), model)
    assert [(layer.operator, layer.activation, layer.weight) for layer in layers] == [
        ("Conv", "float32", "float32"),
        ("Conv", "uint8", "int8"),
        ("Conv", "uint8", "int8"),
        ("Gemm", "uint8", "int8"),
    ]
    first, second = layers[:2]
    assert first.activation_scale is first.weight_scales is None
    assert second.activation_scale == np.float32(table.ranges["stem_relu"][1] / 255)
    low, high = second.weight_scales
    largest = np.abs(model.graph.initializers["w1"].const_value.numpy()).max(axis=(1, 2, 3))
    assert (low, high) == (np.float32(largest.min() / 127), np.float32(largest.max() / 127))
    assert all(layer.zeros_kept and str(layer.pattern) == "unstructured" for layer in layers)


def test_bits_are_those_of_the_strategy():
    model = residual_network()
    table = calibrate(model, batches(model, 1))
    for weight_bits in (4, 8, 16):
        for activation_bits in (8, 16):
            chosen = strategy("scale_shift", weight_bits=weight_bits, activation_bits=activation_bits)
            layers = quantized_layers(quantize(model, table, chosen), model)
            assert {(layer.activation, layer.weight) for layer in layers} == {
                (f"int{activation_bits}", f"int{weight_bits}")
            }
            assert all(len(set(layer.weight_scales)) == 1 for layer in layers)


def test_products_of_two_activations_have_no_weight():
    model = network("(float[2,2] x) => (float[2,2] y) { y = MatMul(x, x) }")
    (layer,) = quantized_layers(quantize(model, calibrate(model, batches(model, 1))), model)
    assert (layer.activation, layer.weight, layer.weight_scales, layer.zeros_kept) == ("uint8", None, None, True)


def test_a_lost_zero_is_told():
    dense, sparse = residual_network(), residual_network(density=0.5)
    quantized = quantize(dense, calibrate(dense, batches(dense, 1)))
    assert all(layer.zeros_kept for layer in quantized_layers(quantized, dense))
    assert not any(layer.zeros_kept for layer in quantized_layers(quantized, sparse))


def test_a_weight_may_come_first():
    weight = np.diag([1.0, 2.0]).astype(np.float32)
    model = network("(float[2,2] x) => (float[2,2] y) { y = MatMul(w, x) }", w=weight)
    (layer,) = quantized_layers(quantize(model, calibrate(model, batches(model, 1))), model)
    assert (layer.activation, layer.weight, layer.zeros_kept) == ("uint8", "int8", True)
    assert layer.weight_scales == (np.float32(2 / 127), np.float32(2 / 127))
