"""From a .tflite file to a graph."""

from pathlib import Path

import onnx_ir as ir

from openwork.errors import ModelError, UnsupportedError, UnsupportedNode, one_line
from openwork.files import read_regular
from openwork.frontends.tensors import check_tensors
from openwork.frontends.tflite.draft import OPSET, Draft, Unsupported
from openwork.frontends.tflite.network import Network, Operator
from openwork.frontends.tflite.operators import OPERATORS
from openwork.frontends.tflite.read import read_network
from openwork.graph import set_dynamic_layers, set_rounding
from openwork.passes import infer_shapes

# What numbers that contradict each other make a rule raise: there are more ways than are worth naming.
_CONTRADICTIONS = (IndexError, ValueError, TypeError, ArithmeticError)


# Layers that TFLite has kernels for that mix floats and integers.
_DYNAMIC = ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def load_tflite(path: Path) -> ir.Model:
    """Read a model from a .tflite file; not canonicalised.

    Inputs and outputs are those of the file: their names, dtypes and layout (NHWC for images). Inside, operators on
    images are ONNX's own, between Transpose nodes. Quantized tensors keep their scales and zero points bit for
    bit; what computes on them stands between DequantizeLinear and QuantizeLinear, and the model asks for
    `q31` rounding. Layers that TFLite quantizes as it runs are in floats, and listed (`graph.dynamic_layers`). An open
    batch has size 1.

    Raises: ModelError: the file is missing or damaged, has dynamic shapes, state, several graphs, sparse tensors, or
        weights that are NaN or infinite. UnsupportedError: it has operators that openwork does not take.
    """
    try:
        draft = Draft(read_network(read_regular(path)))
        model = _model(draft)
        infer_shapes(model)
        _check_values(draft)
    except UnsupportedError:
        raise
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error}); check the path") from error
    check_tensors(model, str(path))
    return model


def _model(draft: Draft) -> ir.Model:
    network = draft.network
    inputs = [draft.declare_input(index) for index in network.inputs]
    _convert(network, draft)
    outputs = [draft.declare_output(index) for index in network.outputs]
    graph = ir.Graph(
        inputs, outputs, nodes=draft.nodes, initializers=draft.constants, opset_imports={"": OPSET}, name="tflite"
    )
    model = ir.Model(graph, ir_version=10)
    if any(tensor.quantized for tensor in network.tensors if tensor.data is None):
        set_rounding(model, "q31")
    set_dynamic_layers(model, [op.label for op in network.operators if _is_dynamic(op, network)])
    return model


def _is_dynamic(op: Operator, network: Network) -> bool:
    """Whether TFLite quantizes what a layer is fed while it runs: floats that meet weights of 8 bits."""
    if op.name not in _DYNAMIC or len(op.inputs) < 2 or min(op.inputs[:2]) < 0:
        return False
    x, weight = (network.tensors[index] for index in op.inputs[:2])
    return x.dtype == "float32" and weight.quantized


def _convert(network: Network, draft: Draft) -> None:
    """Apply the rule of each operator.

    Raises: UnsupportedError: lists all operators that have none, or else all whose rule refuses them.
    """
    unknown = [
        UnsupportedNode(op.label, op.name, "openwork has no rule for this operator of TFLite")
        for op in network.operators
        if op.name not in OPERATORS
    ]
    if unknown:
        raise UnsupportedError(unknown)
    refused: list[UnsupportedNode] = []
    for op in network.operators:
        draft.begin(op)
        try:
            OPERATORS[op.name](op, draft)
        except Unsupported as reason:
            refused.append(UnsupportedNode(op.label, op.name, str(reason)))
            _stand_in(op, draft)
        except _CONTRADICTIONS as error:
            raise ModelError(
                f"{op.label}: its numbers contradict each other ({one_line(error)}); convert the model again"
            ) from error
    if refused:
        raise UnsupportedError(refused)


def _stand_in(op: Operator, draft: Draft) -> None:
    """Let later operators read what a refused one would have computed, so that they are all looked at."""
    for index in op.outputs:
        if index not in draft.values:
            draft.declare_input(index)


def _check_values(draft: Draft) -> None:
    """Refuse a file whose tensors are not what their operators compute.

    Raises: ModelError: a tensor has another dtype or shape than ONNX infers for its value.
    """
    for index, value in draft.values.items():
        tensor = draft.network.tensors[index]
        dtype, shape = ir.DataType.from_numpy(tensor.dtype), ir.Shape(tensor.shape)
        if value.dtype not in (None, dtype) or value.shape not in (None, shape):
            raise ModelError(
                f"tensor {tensor.name!r}: is {dtype}{list(shape)} in the file, but its operator computes "
                f"{value.dtype}{list(value.shape or ())}; convert the model with static shapes"
            )
        value.dtype, value.shape = dtype, shape
