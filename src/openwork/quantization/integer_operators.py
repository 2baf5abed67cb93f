"""Which operators of a float graph will run in integers, and which tensors must be quantized alike.

An operator runs in integers when each activation it reads comes from a DequantizeLinear and its result goes
to a QuantizeLinear, or to one Relu or Clip that goes there. Everything else stays float.
"""

import onnx_ir as ir

from openwork.graph import constant

# Weighted: constant weights of their own, per channel. Computing: quantized wherever they stand.
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
_COMPUTING = frozenset({"Add", "AveragePool", "GlobalAveragePool", "ReduceMean", "Relu", "Clip"})
# Integers pass through unchanged: quantized where a neighbour is, with the same parameters on both sides.
_MOVING = frozenset({"Concat", "Flatten", "MaxPool", "Reshape", "Transpose"})

# A Relu or Clip behind one of these becomes part of it.
_ACTIVATED = _WEIGHTED | {"Add"}

# Tensors that share one scale and zero point.
Group = tuple[ir.Value, ...]


def alike(graph: ir.Graph) -> list[Group]:
    """All tensors to quantize, weights aside, grouped by what must be quantized alike; in graph order."""
    groups: dict[ir.Value, Group] = {}
    computed: set[ir.Value] = set()
    absorbed: set[ir.Value] = set()
    for node in graph:
        if node.outputs[0] in absorbed or not runs_in_integers(node):
            continue
        result = result_of(node)
        absorbed.add(result)
        tensors = (*activations_of(node), result)
        if node.op_type in _MOVING:
            _join(groups, tensors)
        else:
            computed.update(tensors)
            for tensor in tensors:
                _join(groups, (tensor,))
    return [group for group in dict.fromkeys(groups.values()) if computed.intersection(group)]


def observed(group: Group) -> list[str]:
    """Names of the tensors that make up the range of a group: those not merely moved, and not constant."""
    return [str(tensor.name) for tensor in group if not _is_moved(tensor) and constant(tensor) is None]


def weighted(graph: ir.Graph) -> list[ir.Node]:
    """The operators with weights that run in integers, in graph order."""
    return [node for node in graph if node.op_type in _WEIGHTED and runs_in_integers(node)]


def runs_in_integers(node: ir.Node) -> bool:
    """Whether a float operator can run in integers once its tensors are quantized."""
    if node.domain != "" or any(tensor.dtype != ir.DataType.FLOAT for tensor in activations_of(node)):
        return False
    match node.op_type:
        case "Conv":
            return _constants(node, 1)
        case "MatMul":
            return _constants(node, 1) and _rank(node.inputs[1]) == 2
        case "Gemm":
            return _constants(node, 1) and _is_plain(node) and _bias_is_vector(node)
        case "Clip" | "ReduceMean" | "Relu" | "Reshape":
            return _constants(node, 1)
        case "MaxPool":
            return len(node.outputs) == 1 or not node.outputs[1].uses()
    return node.op_type in _COMPUTING | _MOVING


def activations_of(node: ir.Node) -> tuple[ir.Value, ...]:
    """The tensors a node computes on; not its weights, axes or shapes."""
    inputs = node.inputs if node.op_type in ("Add", "Concat") else node.inputs[:1]
    return tuple(tensor for tensor in inputs if tensor is not None)


def result_of(node: ir.Node) -> ir.Value:
    """The tensor to quantize behind a node: its output, or that of a Relu or Clip that becomes part of it."""
    output = node.outputs[0]
    users = [use.node for use in output.uses()]
    alone = len(users) == 1 and not output.is_graph_output()
    if node.op_type in _ACTIVATED and alone and _is_bounded(users[0]):
        return users[0].outputs[0]
    return output


def _join(groups: dict[ir.Value, Group], tensors: Group) -> None:
    """Make one group of the groups of all these tensors."""
    joined = tuple(dict.fromkeys(member for tensor in tensors for member in groups.get(tensor, (tensor,))))
    for member in joined:
        groups[member] = joined


def _is_moved(tensor: ir.Value) -> bool:
    producer = tensor.producer()
    return producer is not None and producer.op_type in _MOVING and runs_in_integers(producer)


def _constants(node: ir.Node, first: int) -> bool:
    return all(tensor is None or constant(tensor) is not None for tensor in node.inputs[first:])


def _is_bounded(node: ir.Node) -> bool:
    """Whether a node is a Relu, or a Clip with constant bounds."""
    return node.domain == "" and node.op_type in ("Relu", "Clip") and _constants(node, 1)


def _is_plain(gemm: ir.Node) -> bool:
    """Whether a Gemm is input @ weight + bias without transposed input or factors."""
    attributes = gemm.attributes
    return (
        attributes.get_int("transA", 0) == 0
        and attributes.get_float("alpha", 1.0) == 1.0
        and attributes.get_float("beta", 1.0) == 1.0
    )


def _bias_is_vector(gemm: ir.Node) -> bool:
    """Whether a Gemm has no bias, or one value per output feature, or one for all."""
    bias = constant(gemm.inputs[2]) if len(gemm.inputs) > 2 else None
    return bias is None or bias.ndim < 2 or bias.shape[0] == 1


def _rank(tensor: ir.Value | None) -> int:
    array = constant(tensor)
    return -1 if array is None else array.ndim
