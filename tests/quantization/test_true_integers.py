"""The `_t` variants: the same graph in integers through the interpreter, held against onnxruntime's floats."""

import numpy as np
import pytest

from openwork.graph import constant, evaluate
from openwork.lowering import interpreter, lower
from openwork.quantization import STRATEGIES, calibrate, decided, quantize, strategy
from tests.quantization.networks import batches, residual_network

VARIANTS = [(f"{name}_t", {}) for name in STRATEGIES if name != "null"] + [
    (name, bits)
    for name in ("int8_t", "minmax_t", "scale_shift_t")
    for bits in ({"weight_bits": 4}, {"weight_bits": 16}, {"activation_bits": 16})
]


@pytest.mark.parametrize("granularity", ["perlayer", "perchannel"])
@pytest.mark.parametrize(("name", "bits"), VARIANTS, ids=str)
def test_every_layer_computes_in_integers_and_agrees_with_onnxruntime(name, bits, granularity):
    model = residual_network()
    data = batches(model, 8)
    table = calibrate(model, data)
    chosen = decided(strategy(name, granularity, **bits), model, table, data, narrow_share=0.6)
    assert chosen.true_integers
    quantized = quantize(model, table, chosen)
    program = lower(quantized)
    requantizing = [step for step in program.steps if hasattr(step, "requantize")]
    assert len(requantizing) >= 5
    assert all(step.requantize is not None for step in requantizing)
    step = float(constant(quantized.graph.initializers["scores_scale"]))
    floats = evaluate(model, data[0])["scores"]
    for batch in data[:3]:
        exact, integers = evaluate(quantized, batch)["scores"], interpreter.run(program, batch)["scores"]
        if chosen.rounding == "float32":
            assert np.abs(exact - integers).max() <= 1.01 * step
        else:  # shifts round halves up at each layer, where ONNX rounds them to even
            assert np.abs(exact - integers).max() <= max(4 * step, 0.02 * np.ptp(floats))
