"""What a model computes, according to onnxruntime."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import DataError, ModelError, one_line
from openwork.graph.model import IR_VERSION

if TYPE_CHECKING:  # loaded where it is used: looking at a model does without
    import onnxruntime

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read when onnxruntime is loaded: it would report to its makers

# Weights from this size on are not copied; and the dtypes that onnxruntime takes from NumPy. Bytes.
_LARGE = 1 << 16
_NATIVE = (ir.DataType.FLOAT, ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT32)


class Evaluator:
    """A model in an onnxruntime session, for running it many times.

    Args:
        model: not modified.
        taps: names of tensors inside the graph that `run` returns besides the outputs.
        threads: of onnxruntime.
        optimized: whether onnxruntime may rewrite the model first.
    Raises: ModelError: onnxruntime does not take the model, or a tap is no tensor of it.
    """

    def __init__(self, model: ir.Model, taps: Sequence[str] = (), *, threads: int = 1, optimized: bool = True):
        import onnxruntime

        light, weights = _without_weights(model)
        proto = ir.to_proto(light)
        proto.ir_version = min(proto.ir_version, IR_VERSION)
        _add_outputs(proto.graph, taps)
        options = _options(threads, optimized)
        options.add_external_initializers(list(weights), list(weights.values()))
        try:
            self._session = onnxruntime.InferenceSession(
                proto.SerializeToString(),
                options,
                providers=["CPUExecutionProvider"],
                # Loses tensors that are tapped between a Transpose and a Gemm.
                disabled_optimizers=["GemmTransposeFusion"],
            )
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise ModelError(f"model: onnxruntime refuses it ({_cause(error)}); check the model") from error

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
        """Outputs and taps by name, in the layout of the graph.

        Raises: DataError: an input is missing, unknown, or has the wrong dtype or shape.
        """
        names = [output.name for output in self._session.get_outputs()]
        try:
            return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))
        except Exception as error:  # onnxruntime's exceptions have no common base
            expected = ", ".join(f"{x.name} {x.type} {x.shape}" for x in self._session.get_inputs())
            raise DataError(f"inputs: {_cause(error)}; the model takes {expected}") from error


def evaluate(
    model: ir.Model,
    inputs: Mapping[str, NDArray[np.generic]],
    *,
    taps: Sequence[str] = (),
    threads: int = 1,
) -> dict[str, NDArray[np.generic]]:
    """Run a model once with onnxruntime. Arguments, result and errors as in `Evaluator`."""
    return Evaluator(model, taps, threads=threads).run(inputs)


def _cause(error: Exception) -> str:
    """What onnxruntime says, without its numbers of kinds, and the functions and places in its source before that."""
    text = " ".join(str(error).split())
    text = re.split(r"\[ONNXRuntimeError\] : \d+ : \w+ : ", text)[-1]
    *place, text = re.split(r"\S+\.(?:cc|h):\d+ ", text)
    if place:
        text = re.sub(r"^[^()]*\((?:[^()]|\([^()]*\))*\)(?: const)? ", "", text)
    return one_line(ValueError(text))


def _without_weights(model: ir.Model) -> tuple[ir.Model, dict[str, "onnxruntime.OrtValue"]]:
    """A model that only names its larger weights, and these weights, which onnxruntime reads where they are.

    Handed over within the model they would be there five times: as a message, as bytes, and twice in onnxruntime.
    """
    import onnxruntime

    light = model.clone()
    weights = {}
    for name, value in light.graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.nbytes < _LARGE or tensor.dtype not in _NATIVE:
            continue
        weights[name] = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(tensor.numpy()))
        value.const_value = ir.ExternalTensor(
            "weights", 0, tensor.nbytes, tensor.dtype, shape=ir.Shape(tensor.shape.numpy()), name=name
        )
    return light, weights


def _options(threads: int, optimized: bool) -> "onnxruntime.SessionOptions":
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if not optimized:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.enable_cpu_mem_arena = False  # it doubles and keeps what it has; weights become floats here
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # its errors reach us as exceptions
    # Without VNNI onnxruntime's int8 kernels saturate at 16 bits unless told to be precise.
    options.add_session_config_entry("session.x64quantprecision", "1")
    # Weights of 8 bits and less behind a MatMul of floats: without this it makes integers of the floats too.
    options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return options


def _add_outputs(graph: onnx.GraphProto, taps: Sequence[str]) -> None:
    """Make each tap a graph output; onnxruntime infers its type."""
    outputs = {output.name for output in graph.output}
    produced = {name for node in graph.node for name in node.output}
    for tap in dict.fromkeys(taps):
        if tap in outputs:
            continue
        if tap not in produced:
            raise ModelError(f"tap {tap!r}: no node of the model produces it; name a tensor of the graph")
        graph.output.append(onnx.ValueInfoProto(name=tap))
