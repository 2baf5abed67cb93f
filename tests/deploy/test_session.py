import multiprocessing
import pickle
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openwork import InferenceSession
from openwork.deploy.artifact import open_artifact, write_manifest
from openwork.deploy.compile import compile_model
from openwork.deploy.tensors import read_tensor
from openwork.errors import ArtifactError, DataError
from openwork.passes import canonicalise
from openwork.targets import load_target
from tests.deploy import tiny
from tests.models import Writer, residual_net


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.write_artifact(tmp_path_factory.mktemp("session") / "deploy").directory


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real artifact, whose library has worker threads. x float32[1, 8, 12, 12]."""
    model = residual_net()
    canonicalise(model)
    directory = tmp_path_factory.mktemp("compiled") / "deploy"
    return compile_model(model, directory, target=load_target("cpu")).directory


@pytest.fixture
def session(directory: Path) -> Iterator[InferenceSession]:
    with InferenceSession(directory) as session:
        yield session


def assert_right(results: list[Any], values: dict[str, Any]) -> None:
    for result, right in zip(results, tiny.expected(values), strict=True):
        assert result.dtype == right.dtype
        np.testing.assert_array_equal(result, right)


def test_tensors_are_described_as_onnxruntime_does(session: InferenceSession) -> None:
    described = [(tensor.name, tensor.shape, tensor.type) for tensor in session.get_inputs()]
    assert described == [("a", [2, 3], "tensor(float)"), ("b", [2, 3], "tensor(uint8)")]
    described = [(tensor.name, tensor.shape, tensor.type) for tensor in session.get_outputs()]
    assert described == [("y", [2, 3], "tensor(float)"), ("z", [2, 1], "tensor(uint8)")]


def test_all_outputs_come_in_order(session: InferenceSession) -> None:
    assert_right(session.run(None, tiny.inputs()), tiny.inputs())


def test_chosen_outputs_come_as_chosen(session: InferenceSession) -> None:
    y, z = tiny.expected(tiny.inputs())
    for names, right in ((["z", "y"], [z, y]), (["z"], [z]), (["y", "y"], [y, y])):
        for result, expected in zip(session.run(names, tiny.inputs()), right, strict=True):
            np.testing.assert_array_equal(result, expected)


def test_results_are_new_arrays_every_time(session: InferenceSession) -> None:
    first = session.run(None, tiny.inputs(seed=1))
    session.run(None, tiny.inputs(seed=2))
    assert_right(first, tiny.inputs(seed=1))


def test_arrays_of_any_memory_layout_are_taken(session: InferenceSession) -> None:
    values = tiny.inputs()
    unaligned = np.frombuffer(b"." + values["a"].tobytes(), np.float32, offset=1).reshape(2, 3)
    wide = np.zeros((4, 9), np.uint8)
    wide[::2, ::3] = values["b"]
    for a in (unaligned, np.asfortranarray(values["a"]), values["a"][::-1][::-1]):
        assert_right(session.run(None, {"a": a, "b": wide[::2, ::3]}), values)


def test_a_multiple_of_the_batch_is_run_batch_by_batch(session: InferenceSession) -> None:
    for batches in (2, 5):
        assert_right(session.run(None, tiny.inputs(batches)), tiny.inputs(batches))


A, B = (tiny.inputs()[name] for name in ("a", "b"))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"a": A}, "input 'b' is missing; give uint8"),
        ({"a": A, "b": B, "c": A}, "input 'c' does not exist; choose among 'a', 'b'"),
        ({"a": A.astype(np.float64), "b": B}, r"input 'a': float64\[2, 3\] was given; give float32\[2, 3\]"),
        ({"a": A.astype(">f4"), "b": B}, "input 'a': >f4"),
        ({"a": A, "b": B.astype(np.int8)}, "input 'b': int8"),
        ({"a": A.T, "b": B}, r"float32\[3, 2\] was given; give float32\[2, 3\]"),
        ({"a": A[0], "b": B}, r"float32\[3\] was given"),
        ({"a": A[:1], "b": B[:1]}, r"float32\[1, 3\] was given; .* multiple of 2"),
        ({"a": A[:0], "b": B[:0]}, r"float32\[0, 3\] was given"),
        ({"a": A[..., None], "b": B}, r"float32\[2, 3, 1\] was given"),
        ({"a": np.float32(1), "b": B}, r"float32\[\] was given"),
        ({"a": "text", "b": B}, "input 'a': <U4"),
        ({"a": [[1], [2, 3]], "b": B}, "input 'a'"),
        ({"a": np.vstack([A, A]), "b": B}, "different multiples"),
        ([A, B], "give a dict"),
    ],
)
def test_wrong_inputs_are_told_in_one_line(session: InferenceSession, inputs: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        session.run(None, inputs)
    assert "\n" not in str(caught.value)


def test_an_unknown_output_is_told(session: InferenceSession) -> None:
    with pytest.raises(DataError, match="output 'w' does not exist; choose among 'y', 'z'"):
        session.run(["w"], tiny.inputs())


@pytest.mark.parametrize("threads", [0, -1, 65])
def test_impossible_threads_are_refused(directory: Path, threads: int) -> None:
    with pytest.raises(DataError, match="choose 1 to 64"):
        InferenceSession(directory, threads=threads)


def test_a_session_survives_pickling(directory: Path) -> None:
    with InferenceSession(directory, threads=3) as session:
        twin = pickle.loads(pickle.dumps(session))
    assert twin.threads == 3
    assert_right(twin.run(None, tiny.inputs()), tiny.inputs())


def _run_in_child(session: InferenceSession, inputs: dict[str, Any], queue: Any) -> None:
    queue.put(session.run(None, inputs))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("artifact", ["directory", "compiled"])
def test_a_session_works_in_another_process(artifact: str, method: str, request: pytest.FixtureRequest) -> None:
    with InferenceSession(request.getfixturevalue(artifact), threads=2) as session:
        found = session.artifact
        inputs = {tensor.name: read_tensor(found.directory, tensor) for tensor in found.inputs}
        expected = session.run(None, inputs)
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        child = context.Process(target=_run_in_child, args=(session, inputs, queue))
        child.start()
        child.join(timeout=60)
        assert child.exitcode == 0
    for result, right in zip(queue.get(), expected, strict=True):
        np.testing.assert_array_equal(result, right)


def test_the_answers_do_not_depend_on_the_threads(compiled: Path) -> None:
    inputs = {"x": np.random.default_rng(0).standard_normal((1, 8, 12, 12), np.float32)}
    results = []
    for threads in (1, 2, 5):
        with InferenceSession(compiled, threads=threads) as session:
            results.append(session.run(None, inputs)[0])
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_threads_may_share_a_session(session: InferenceSession) -> None:
    faults: list[Exception] = []

    def work(seed: int) -> None:
        try:
            for _ in range(200):
                assert_right(session.run(None, tiny.inputs(seed=seed)), tiny.inputs(seed=seed))
        except Exception as fault:
            faults.append(fault)

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not faults


def _close_and_run(session: InferenceSession) -> None:
    session.close()
    with pytest.raises(ArtifactError, match="closed"):
        session.run(None, tiny.inputs())


@pytest.mark.parametrize("work", [test_threads_may_share_a_session, _close_and_run])
def test_a_session_that_was_running_works_in_a_fork(work: Callable[..., None], directory: Path) -> None:
    with InferenceSession(directory) as session:
        context = multiprocessing.get_context("fork")
        children: list[Any] = []

        def fork(_step: int, _arena: int) -> None:  # while the session is locked
            child = context.Process(target=work, args=(session,))
            child.start()
            children.append(child)

        session.run(None, tiny.inputs(), tap=fork)
        children[0].join(timeout=60)
        assert children[0].exitcode == 0


def test_sessions_left_open_do_not_hurt_at_exit(compiled: Path) -> None:
    program = (
        "import threading\n"
        "import numpy as np\n"
        "from openwork import InferenceSession\n"
        f"session, other = (InferenceSession({str(compiled)!r}) for _ in range(2))\n"
        "x = {'x': np.zeros((1, 8, 12, 12), np.float32)}\n"
        "def work():\n"
        "    while True:\n"
        "        session.run(None, x)\n"
        "threading.Thread(target=work, daemon=True).start()\n"
        "other.run(None, x)\n"
    )
    for _ in range(3):
        subprocess.run([sys.executable, "-c", program], check=True)


def test_a_closed_session_says_so(directory: Path) -> None:
    session = InferenceSession(directory)
    session.close()
    session.close()
    with pytest.raises(ArtifactError, match="closed; open a new one"):
        session.run(None, tiny.inputs())


def test_a_directory_written_again_is_loaded_again_beside_an_older_session(tmp_path: Path) -> None:
    artifact = tiny.write_artifact(tmp_path / "deploy")
    older = InferenceSession(artifact.directory)
    source = tiny.SOURCE.replace("+ b[i];", "- b[i];")
    (artifact.directory / "deploy.so").unlink()
    (artifact.directory / "deploy.so").write_bytes(tiny.library(source))
    write_manifest(artifact)
    newer = InferenceSession(artifact.directory)
    assert_right(older.run(None, tiny.inputs()), tiny.inputs())
    values = tiny.inputs()
    np.testing.assert_array_equal(
        newer.run(["y"], values)[0], values["a"] * tiny.WEIGHTS - values["b"].astype(np.float32)
    )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("deploy.so", b"no library", "cannot be loaded"),
        ("deploy.params", b"12345", "truncated"),
    ],
)
def test_a_broken_library_with_a_fresh_manifest_is_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    artifact = tiny.write_artifact(tmp_path / "deploy")
    (artifact.directory / name).write_bytes(content)
    write_manifest(artifact)
    with pytest.raises(ArtifactError, match=message):
        InferenceSession(artifact.directory)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("return OPENWORK_ABI;", "return 99;", "abi 99"),
        ("openwork_isa(", "openwork_isa_(", "cannot be loaded"),
        ("narrow[] = {2, 1}", "narrow[] = {1, 2}", "differ in the tensors"),
    ],
)
def test_a_library_of_another_kind_is_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    artifact = tiny.write_artifact(tmp_path / "deploy")
    assert before in tiny.SOURCE
    (artifact.directory / "deploy.so").write_bytes(tiny.library(tiny.SOURCE.replace(before, after)))
    write_manifest(artifact)
    with pytest.raises(ArtifactError, match=message):
        InferenceSession(artifact.directory)


def test_the_session_needs_numpy_alone(directory: Path) -> None:
    program = (
        "import sys\n"
        "from openwork import InferenceSession\n"
        f"InferenceSession({str(directory)!r}).get_inputs()\n"
        "heavy = {'torch', 'onnxruntime', 'onnx', 'onnx_ir', 'matplotlib', 'ziglang'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_weights_are_hashed_piece_by_piece_and_never_copied(tmp_path: Path) -> None:
    artifact = tiny.write_artifact(tmp_path / "deploy")
    with (artifact.directory / "deploy.params").open("ab") as file:
        file.write(bytes(30_000_000))
    write_manifest(artifact)
    tracemalloc.start()
    with InferenceSession(artifact.directory):
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    assert open_artifact(artifact.directory) == artifact


def test_rows_that_meet_are_no_batch(tmp_path: Path) -> None:
    """A network whose first axis is a sequence takes exactly its shape, as in onnxruntime."""
    w = Writer()
    model = w.model(w.op("Softmax", w.gemm(w.input("x", (2, 8)), 8, 4), axis=0))
    canonicalise(model)
    artifact = compile_model(model, tmp_path / "deploy", target=load_target("cpu"))
    with InferenceSession(artifact.directory) as session:
        assert session.batch == 0
        assert session.run(None, {"x": np.ones((2, 8), np.float32)})[0].shape == (2, 4)
        with pytest.raises(DataError, match=r"float32\[6, 8\] was given; give float32\[2, 8\]$"):
            session.run(None, {"x": np.ones((6, 8), np.float32)})
