"""What a small command loads."""

import json
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper

HEAVY = ("matplotlib", "onnxruntime", "onnxscript", "sympy.core", "torch", "transformers", "ziglang")


def run(script):
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


@pytest.fixture
def path(tmp_path):
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", values[:1], values[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=8), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_looking_at_a_small_model_loads_nothing_heavy(path):
    script = f"""
import json, sys
from openwork.cli import main
assert main(["inspect", {str(path)!r}]) == 0
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))
"""
    assert json.loads(run(script)) == []


def test_sympy_is_there_when_it_is_used():
    script = """
from openwork.cli.deferred import defer_sympy
defer_sympy()
import sys
import onnx_ir as ir
import sympy
assert "sympy.core" not in sys.modules
assert str(ir.SymbolicDim("n") + 1) == "n + 1"
assert (ir.SymbolicDim("max(n, 3)") * 2).evaluate({"n": 5}) == 10
from sympy.core import Add
assert sys.modules["sympy"].Max(1, 2) == sympy.Max(1, 2) == 2 and isinstance(sympy.Integer(2), sympy.Expr)
try:
    sympy.nothing
except AttributeError:
    print("fine")
"""
    assert run(script) == "fine"
