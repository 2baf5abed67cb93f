from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from openwork.cli import main
from openwork.frontends import load_model
from openwork.graph import constant
from tests.cli.conftest import Ask


def test_optimize_sets_shapes_and_keeps_what_is_computed(tmp_path: Path, ask: Ask) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> network (float[n,4] x) => (float[n,4] y) '
        "{ a = Identity(x)  b = Relu(a)  unused = Neg(a)  y = Add(b, b) }"
    )
    onnx.save(model, tmp_path / "m.onnx")
    for arguments, rows in ((["--set-shape", "x=3,4"], 3), (["--batch", 5], 5), ([], 1)):
        result = ask("optimize", tmp_path / "m.onnx", "-o", tmp_path / "o.onnx", *arguments)
        assert (result["nodes_before"], result["nodes"]) == (4, 2)
        session = onnxruntime.InferenceSession(tmp_path / "o.onnx")
        x = np.arange(rows * 4, dtype=np.float32).reshape(rows, 4) - 3
        np.testing.assert_array_equal(session.run(None, {"x": x})[0], 2 * np.maximum(x, 0))
        assert session.get_inputs()[0].shape == [rows, 4]


@pytest.mark.parametrize("text", ["x", "x=", "x=1,-1", "x=a", "=1,2", "x=1" + "0" * 5000])
def test_optimize_refuses_a_shape_that_is_none(
    text: str, road: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["optimize", str(road / "float.onnx"), "-o", str(tmp_path / "o.onnx"), "--set-shape", text]
    assert main(command) == 2
    assert "x=1,3,224,224" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_sparse_weights_are_small_and_the_same(road: Path, tmp_path: Path, ask: Ask) -> None:
    dense = ask("optimize", road / "float.onnx", "-o", tmp_path / "dense.onnx")
    sparse = ask("optimize", road / "float.onnx", "-o", tmp_path / "sparse.onnx", "--sparse-weights")
    assert sparse["bytes"] < 0.7 * dense["bytes"]
    weights, stored = (load_model(tmp_path / f"{name}.onnx").graph.initializers for name in ("dense", "sparse"))
    assert weights.keys() == stored.keys()
    for name, value in weights.items():
        np.testing.assert_array_equal(constant(stored[name]), constant(value))
    x = np.random.default_rng(0).normal(size=(1, 3, 16, 16)).astype("f")
    results = [
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"image": x})[0]
        for name in ("dense", "sparse")
    ]
    np.testing.assert_array_equal(*results)
    ask("optimize", tmp_path / "sparse.onnx", "-o", tmp_path / "again.onnx", "--sparse-weights")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "sparse.onnx").read_bytes()
