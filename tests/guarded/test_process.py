"""The child process: what kills it is an error, and the next request is answered."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from openwork.errors import ModelError
from openwork.guarded import RefusedError, compute, infer_node, process

VERSIONS = {"": 20}


def floats(*shape):
    return helper.make_tensor_type_proto(TensorProto.FLOAT, shape)


def infer(node, **types):
    """The shape of the first output."""
    answer = infer_node("node 'n'", node, types, {}, VERSIONS)[node.output[0]]
    return [dim.dim_value for dim in answer.tensor_type.shape.dim]


def aborts():
    """onnx's shape inference of a Slice ends in an assertion where a size is below zero."""
    numbers = {"starts": [0], "ends": [2], "axes": [2]}
    infer_node(
        "node 'n'",
        helper.make_node("Slice", ["x", *numbers], ["y"]),
        {"x": floats(1, 2, -1, -1)} | {name: helper.make_tensor_type_proto(TensorProto.INT64, [1]) for name in numbers},
        {name: onnx.numpy_helper.from_array(np.int64(value), name) for name, value in numbers.items()},
        VERSIONS,
    )


def never_ends():
    """Of shape inference, on an equation that is none."""
    infer(helper.make_node("Einsum", ["x", "x"], ["y"], equation="bij, bjk\x05-> bik"), x=floats(5, 3, 3))


def test_an_abort_is_an_error_that_names_the_node_and_the_next_request_is_answered():
    for size in (7, 8):
        with pytest.raises(ModelError, match="node 'n': onnx's own shape inference aborts on it; check"):
            aborts()
        assert infer(helper.make_node("Relu", ["a"], ["b"]), a=floats(1, size)) == [1, size]


def test_what_never_ends_is_an_error(monkeypatch):
    process._end()
    monkeypatch.setattr(process, "SECONDS", 1)
    with pytest.raises(ModelError, match="shape inference takes too long on it"):
        never_ends()
    process._end()


def test_what_fills_the_memory_is_an_error():
    sizes = np.int64([1 << 17, 1 << 17])
    with pytest.raises(ModelError, match="reference operator needs more than 4096 MiB of memory"):
        compute("node 'n'", helper.make_node("ConstantOfShape", ["s"], ["y"]), [sizes], VERSIONS, most=1 << 40)


def test_a_child_that_was_killed_between_requests_is_replaced():
    infer(helper.make_node("Relu", ["a"], ["b"]), a=floats(1, 90))
    child = process._running[0].process
    child.kill()
    child.wait()
    assert infer(helper.make_node("Relu", ["a"], ["b"]), a=floats(1, 91)) == [1, 91]


def test_an_interruption_leaves_no_answer_for_another_request(monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(process.child_process, "read", interrupted)
        with pytest.raises(KeyboardInterrupt):
            infer(helper.make_node("Relu", ["a"], ["b"]), a=floats(1, 92))
    assert infer(helper.make_node("Relu", ["a"], ["b"]), a=floats(1, 93)) == [1, 93]


def test_threads_share_one_child():
    def one(size):
        return infer(helper.make_node("Relu", ["a"], ["b"]), a=floats(2, size)), process._running[0].process.pid

    sizes = range(100, 140)
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(one, sizes))
    assert [shape for shape, _ in answers] == [[2, size] for size in sizes]
    assert len({child for _, child in answers}) == 1


def test_a_forked_process_starts_a_child_of_its_own():
    script = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.guarded.test_process import floats, helper, infer, process
relu = helper.make_node("Relu", ["a"], ["b"])
infer(relu, a=floats(1, 2))
before = process._running[0].process.pid
forked = os.fork()
assert infer(relu, a=floats(1, 3)) == [1, 3]
assert (process._running[0].process.pid == before) == bool(forked)
if forked:
    assert os.waitpid(forked, 0)[1] == 0
"""
    subprocess.run([sys.executable, "-W", "error", "-c", script], check=True)


def test_the_child_ends_with_its_parent():
    script = """
import os, signal
from openwork.guarded import process
print(process._started().pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    told = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE).stdout
    while _lives(int(told)):  # a test that hangs has failed
        time.sleep(0.01)


def _lives(pid):
    """Whether a process runs: it is there, and no zombie that waits to be collected."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_what_breaks_the_rules_is_refused():
    with pytest.raises(RefusedError, match="Incompatible dimensions"):
        infer(helper.make_node("MatMul", ["a", "b"], ["y"]), a=floats(2, 3), b=floats(4, 5))


def test_operators_that_onnx_does_not_define_have_no_types():
    for domain, versions in (("my", {"my": 1}), ("", {"": 2**40}), ("", {"": -1}), ("other", {})):
        node = helper.make_node("Nothing", ["a"], ["b"], domain=domain)
        assert infer_node("n", node, {"a": floats(1)}, {}, versions) == {}
