import os
import subprocess
import sys

import numpy as np
import pytest

from openwork.errors import DataError, ModelError
from openwork.graph import Evaluator, evaluate
from tests.graphs import graph, to_bytes

X = np.float32([[-1, 2]])


def network():
    return graph("(float[1,2] x) => (float[1,2] y) { a = Relu(x) b = Exp(a) y = Neg(b) }")


def test_outputs_and_taps():
    model = network()
    before = to_bytes(model)
    result = evaluate(model, {"x": X}, taps=["a", "b", "a", "y"])
    assert sorted(result) == ["a", "b", "y"]
    np.testing.assert_array_equal(result["a"], [[0, 2]])
    np.testing.assert_allclose(result["b"], np.exp([[0, 2]]), rtol=1e-6)
    np.testing.assert_array_equal(result["y"], -result["b"])
    assert to_bytes(model) == before


def test_a_session_runs_many_times():
    evaluator = Evaluator(network(), threads=2)
    for x in (X, -X):
        np.testing.assert_allclose(evaluator.run({"x": x})["y"], -np.exp(np.maximum(x, 0)), rtol=1e-6)


@pytest.mark.parametrize(
    "inputs",
    [{}, {"z": X}, {"x": X, "z": X}, {"x": X.astype("f8")}, {"x": X.T}, {"x": X[0]}],
    ids=["missing", "unknown", "one too many", "dtype", "shape", "rank"],
)
def test_wrong_inputs(inputs, capfd):
    with pytest.raises(DataError, match="the model takes x tensor") as caught:
        evaluate(network(), inputs)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_tap_that_is_no_tensor():
    with pytest.raises(ModelError, match="tap 'nothing'"):
        evaluate(network(), {"x": X}, taps=["nothing"])


def test_a_model_onnxruntime_refuses(capfd):
    with pytest.raises(ModelError, match="onnxruntime refuses"):
        Evaluator(graph("(float[1,2] x) => (float[1,2] y) { y = my.Op(x) }"))
    assert capfd.readouterr() == ("", "")


def test_onnxruntime_is_told_to_report_to_nobody():
    environment = {key: value for key, value in os.environ.items() if key != "ORT_DISABLE_TELEMETRY"}
    program = "import os, openwork.graph; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    told = subprocess.run([sys.executable, "-c", program], env=environment, check=True, capture_output=True)
    assert told.stdout == b"1\n"
