"""The process in which a model file is run by its own runtime: see `deploy.proof.original`.

    python -P -m openwork.deploy.proof.runtimes MODEL FOLDER [saturation]

FOLDER holds input0.npy, ... in the model's order; output0.npy, ... and answer.json are written beside them. Runtimes
are native code, and files may be anything: what kills one must not kill openwork.
"""

import json
import os
import resource
import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.generic]

# Where an interpreter of TFLite may be, and the package that it comes with, by preference.
_INTERPRETERS = (
    ("ai_edge_litert.interpreter", "ai-edge-litert"),
    ("tflite_runtime.interpreter", "tflite-runtime"),
    ("tensorflow.lite", "tensorflow"),
)
# Operators that onnxruntime computes with integer kernels, whatever is optimised.
_INTEGER_KERNELS = ("QLinear", "MatMulInteger", "ConvInteger", "DynamicQuantize")
_HALVES = (10, 16)  # onnx.TensorProto.FLOAT16, BFLOAT16
_NEWEST_IR = 10


class NotRunError(Exception):
    """There is no runtime for the model, or it refuses it. Says why."""


def run_onnx(path: Path, inputs: Sequence[Array]) -> tuple[list[Array], str, bool]:
    """Outputs by onnxruntime, without optimisations; its name and version; whether the model computes in halves.

    inputs: in the model's order; float32 also where the model takes other floats.
    """
    ort, proto = _opened(path)
    results = _results(ort, proto, path, inputs, _as_written(ort, proto))
    return results, f"onnxruntime {ort.__version__}", _in_halves(proto)


def keeps_rows_apart(path: Path, inputs: Sequence[Array], results: Sequence[Array]) -> bool | None:
    """Whether rows of inputs among other rows give what they give alone: of a model with an open first axis.

    What is made of axes and sizes of 1 tells nothing of more rows: which of them a slice takes, or where a reshape
    puts them. So onnxruntime is asked, with other rows in front and behind.

    results: of `inputs`. Returns: None where the model insists on a number of rows.
    """
    ort, proto = _opened(path)
    firsts = [value.type.tensor_type.shape.dim[:1] for value in _taken(proto)]
    if not firsts or any(not first or first[0].HasField("dim_value") for first in firsts):
        return None
    among = [np.concatenate([other, array, other]) for array, other in zip(inputs, map(_other, inputs), strict=True)]
    try:
        together = _results(ort, proto, path, among, _as_written(ort, proto))
    except NotRunError:
        return False
    return all(map(_is_among, results, together))


def _other(array: Array) -> Array:
    """Rows that differ: each one's elements move on, and floats become smaller."""
    moved: Array = np.roll(array.reshape(len(array), -1), 1, axis=1).reshape(array.shape)
    return (moved.astype(np.float64) / 2).astype(moved.dtype) if moved.dtype.kind == "f" else moved


def _is_among(result: Array, together: Array) -> bool:
    """Whether a result is the middle of three; but for roundings, which `lowering.batch_of` is strict about."""
    rows = result.shape[0] if result.ndim else 0
    if together.shape != (3 * rows, *result.shape[1:]):
        return False
    a, b = result.astype(np.float64), together[rows : 2 * rows].astype(np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    a, b = np.where(finite, a, 0), np.where(finite, b, 0)
    return bool(np.abs(a - b).mean() <= 1e-2 * np.abs(a).max(initial=0)) if a.size else True


def _as_written(ort: ModuleType, proto: Any) -> Any:
    """Options by which onnxruntime computes what the file says."""
    options = _options(ort)
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    if any(node.op_type.startswith(_INTEGER_KERNELS) for node in proto.graph.node):
        # On processors without VNNI these saturate at 16 bits, unless an optimisation makes them precise.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.add_session_config_entry("session.disable_quant_qdq", "1")
        options.add_session_config_entry("session.x64quantprecision", "1")
    return options


def saturation(path: Path, inputs: Sequence[Array]) -> float:
    """How far onnxruntime's optimised kernels are off, as a share of the range of an output: by how they saturate.

    The same optimisations run twice; the second time they make kernels precise.
    """
    ort, proto = _opened(path)
    usual, precise = _options(ort), _options(ort)
    precise.add_session_config_entry("session.x64quantprecision", "1")
    farthest = 0.0
    given = (_results(ort, proto, path, inputs, options) for options in (usual, precise))
    for result, right in zip(*given, strict=True):
        if right.dtype.kind in "fiu" and right.size and np.isfinite(right).all():
            a, b = result.astype(np.float64), right.astype(np.float64)
            width = max(b.max(), 0.0) - min(b.min(), 0.0)
            farthest = max(farthest, float(np.abs(a - b).max() / width) if width else 0.0)
    return farthest if np.isfinite(farthest) else 1.0


def _opened(path: Path) -> tuple[ModuleType, Any]:
    """onnxruntime, and the model without its external weights."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnx
    import onnxruntime as ort

    return ort, onnx.load(str(path), load_external_data=False)


def _options(ort: ModuleType) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def _results(ort: ModuleType, proto: Any, path: Path, inputs: Sequence[Array], options: Any) -> list[Array]:
    import onnx

    taken = _taken(proto)
    if len(taken) != len(inputs):
        raise NotRunError(f"it takes {len(taken)} inputs, openwork's graph {len(inputs)}")
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path.absolute().parent)
    )
    changed = any([_reshaped(proto, taken, inputs), _sorted(proto)])
    try:
        try:
            session = ort.InferenceSession(proto.SerializeToString() if changed else str(path), options)
        except Exception as error:
            if "IR version" not in str(error):
                raise
            proto.ir_version = _NEWEST_IR
            session = ort.InferenceSession(proto.SerializeToString(), options)
        given = {value.name: _as_taken(array, value, onnx) for value, array in zip(taken, inputs, strict=True)}
        results = session.run(None, given)
    except Exception as error:  # onnxruntime's exceptions have no common base
        raise NotRunError(f"onnxruntime refuses it ({_one_line(error)})") from error
    return [np.asarray(result) for result in results]


def _taken(proto: Any) -> list[Any]:
    """The inputs, without weights that may be replaced."""
    names = {tensor.name for tensor in proto.graph.initializer}
    names |= {tensor.values.name for tensor in proto.graph.sparse_initializer}
    return [value for value in proto.graph.input if value.name not in names]


def run_tflite(path: Path, inputs: Sequence[Array]) -> tuple[list[Array], str, bool]:
    """Outputs by a TFLite interpreter: its reference kernels, else its own without delegates."""
    module, package = _interpreter()
    resolvers = getattr(module, "OpResolverType", None) or module.experimental.OpResolverType
    for resolver in (resolvers.BUILTIN_REF, resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES):
        try:
            interpreter = module.Interpreter(
                model_path=str(path), num_threads=1, experimental_op_resolver_type=resolver
            )
            interpreter.allocate_tensors()
            for detail, array in zip(interpreter.get_input_details(), inputs, strict=True):
                interpreter.set_tensor(detail["index"], array)
            interpreter.invoke()
            results = [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]
        except (ValueError, RuntimeError) as error:
            refused = NotRunError(f"{package} refuses it ({_one_line(error)})")
            continue  # a few operators have no reference
        return results, f"{package} {version(package)}", False
    raise refused


def _interpreter() -> tuple[ModuleType, str]:
    for name, package in _INTERPRETERS:
        try:
            return import_module(name), package
        except ImportError:
            continue
    raise NotRunError("no interpreter of TFLite is installed (ai-edge-litert, tflite-runtime or tensorflow)")


def _reshaped(proto: Any, taken: Sequence[Any], inputs: Sequence[Array]) -> bool:
    """Give the model other shapes where it insists on some. Returns: whether anything changed."""
    changed = False
    for value, array in zip(taken, inputs, strict=True):
        shape = value.type.tensor_type.shape
        sizes = [dim.dim_value if dim.HasField("dim_value") else None for dim in shape.dim]
        if len(sizes) == array.ndim and any(
            size not in (None, wanted) for size, wanted in zip(sizes, array.shape, strict=True)
        ):
            changed = True
            for dim, size in zip(shape.dim, array.shape, strict=True):
                dim.dim_value = size
    if changed:
        del proto.graph.value_info[:]
        for value in proto.graph.output:
            value.type.tensor_type.ClearField("shape")
    return changed


def _sorted(proto: Any) -> bool:
    """Let each TopK sort that need not: any order is right then, and openwork's is this. Returns: whether one was."""
    free = [
        (node, each)
        for node in proto.graph.node
        if node.op_type == "TopK"
        for each in node.attribute
        if each.name == "sorted" and not each.i
    ]
    for node, attribute in free:
        node.attribute.remove(attribute)
    return bool(free)


def _as_taken(array: Array, value: Any, onnx: ModuleType) -> Array:
    dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    return array.astype(dtype) if array.dtype == np.float32 and dtype != np.float32 else array


def _in_halves(proto: Any) -> bool:
    values = (*proto.graph.input, *proto.graph.output)
    types = {tensor.data_type for tensor in proto.graph.initializer}
    types |= {value.type.tensor_type.elem_type for value in values}
    types |= {each.i for node in proto.graph.node if node.op_type == "Cast" for each in node.attribute}
    return any(half in types for half in _HALVES)


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


def main(path: Path, folder: Path, question: str = "results") -> None:
    count = len(list(folder.glob("input*.npy")))
    inputs = [np.load(folder / f"input{index}.npy") for index in range(count)]
    try:
        if question == "saturation":
            (folder / "answer.json").write_text(json.dumps({"saturation": saturation(path, inputs)}))
            return
        is_tflite = path.suffix.lower() == ".tflite"
        results, runtime, halves = (run_tflite if is_tflite else run_onnx)(path, inputs)
        for index, result in enumerate(results):
            if result.dtype.kind not in "fiub":
                raise NotRunError(f"output {index} is of {result.dtype}")
            wide = result.astype(np.float32) if result.dtype.kind == "f" else result
            np.save(folder / f"output{index}.npy", wide)
        apart = None if is_tflite else keeps_rows_apart(path, inputs, results)
        answer: dict[str, Any] = {"outputs": len(results), "runtime": runtime, "halves": halves, "apart": apart}
    except NotRunError as reason:
        answer = {"refused": str(reason)}
    (folder / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
