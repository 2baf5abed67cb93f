import numpy as np

from openwork.demo.peers import fastest, onnxruntime_runner, quantized_by_onnxruntime
from openwork.deploy import Latency
from openwork.graph import evaluate
from tests.quantization.networks import batches, residual_network


def test_the_runner_computes_what_the_model_says() -> None:
    model = residual_network()
    [inputs] = batches(model, 1)
    result = onnxruntime_runner(model, inputs, threads=1)()
    np.testing.assert_allclose(result[0], evaluate(model, inputs)["scores"], rtol=1e-4, atol=1e-5)


def test_onnxruntime_quantizes_in_the_same_numbers_as_we_do() -> None:
    model = residual_network()
    data = batches(model, 8)
    quantized = quantized_by_onnxruntime(model, data)
    dtypes = {value.const_value.dtype.name for value in quantized.graph.initializers.values()}
    assert {"INT8", "UINT8", "INT32"} <= dtypes
    assert "INT16" not in dtypes
    scales = [node.inputs[1].const_value.shape for node in quantized.graph if node.op_type == "DequantizeLinear"]
    assert any(len(shape) == 1 and shape[0] == 16 for shape in scales)  # per channel
    exact, rough = (evaluate(graph, data[0])["scores"] for graph in (model, quantized))
    assert 0 < np.abs(exact - rough).max() < 0.1 * np.ptp(exact)


def test_the_fastest_has_the_smallest_median() -> None:
    latencies = {name: Latency(1, 1.0, median, 1.0, 1.0, 1.0, 0.0) for name, median in (("a", 2.0), ("b", 1.0))}
    assert fastest(latencies) == ("b", latencies["b"])
