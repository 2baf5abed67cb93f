"""Which operators of a float graph will run in integers, and which tensors must be quantized alike.

An operator runs in integers when each activation it reads comes from a DequantizeLinear and its results go
to a QuantizeLinear, or to one Relu or Clip that goes there. Everything else stays float.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import ModelError
from openwork.graph import constant, operator_of, static_shape
from openwork.quantization.calibration import Range

# Constant weights of their own, symmetric.
_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
# Functions of one number: a table of 256 entries does for 8 bits.
_FUNCTIONS = frozenset(
    {
        *("Abs", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Neg", "Reciprocal"),
        *("Sigmoid", "Softplus", "Sqrt", "Swish", "Tanh"),
    }
)
_SUMS = frozenset({"Add", "Sub"})
_OF_TWO = _SUMS | {"Mul", "MatMul"}
_NORMALIZING = frozenset({"InstanceNormalization", "LayerNormalization", "RMSNormalization"})
_REDUCING = frozenset({"AveragePool", "GlobalAveragePool", "ReduceMean", "ReduceSum", "Softmax"})
_COMPUTING = _FUNCTIONS | _OF_TWO | _NORMALIZING | _REDUCING | {"Clip", "Relu"}
# Integers pass through unchanged: quantized where a neighbour is, with the same parameters on both sides. But for a
# Resize that computes what lies between its elements.
_MOVING = frozenset(
    {
        *("Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "GlobalMaxPool", "MaxPool", "Pad", "ReduceMax"),
        *("ReduceMin", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose", "Unsqueeze"),
    }
)

# A Relu or Clip behind one of these becomes part of it.
_ACTIVATED = _WEIGHTED | _SUMS

# What these give, whatever the data.
_KNOWN_RANGES: dict[str, Range] = {
    "HardSigmoid": (0.0, 1.0),
    "Sigmoid": (0.0, 1.0),
    "Softmax": (0.0, 255 / 256),  # the scale 1/256, which integer kernels of softmax are made for
    "Tanh": (-1.0, 1.0),
}

# A constant as large as this hides elements (masks hold -10000, -3.4e38 or -inf): 8 bits cannot hold it and them.
_MASKING = 1e4
# Nor can they hold numbers below this, that leave nothing to a Softmax, where there are none up to half as low: Swin
# adds -100.
_HIDING = -50.0
# A constant as small as this guards a division or a square root against zero: 8 bits would round it off.
_GUARDING = 1e-3

# Tensors that share one scale and zero point.
Group = tuple[ir.Value, ...]


# How an operator runs in integers: sums of products with its constant weight, a function that is looked up, other
# arithmetic, or elements that are only moved.
IntegerForm = Literal["weighted", "looked up", "computed", "moved"]


def integer_form(operator: str) -> IntegerForm | None:
    """How an operator of ONNX runs in integers once it is quantized; None if `quantize` leaves it in floats."""
    if operator in _WEIGHTED:
        return "weighted"
    if operator in _FUNCTIONS:
        return "looked up"
    return "computed" if operator in _COMPUTING else "moved" if operator in _MOVING else None


@dataclass(frozen=True, eq=False)
class Site:
    """A node that will run in integers, the activations it reads and the tensors to quantize behind it."""

    node: ir.Node
    inputs: tuple[ir.Value, ...]
    outputs: tuple[ir.Value, ...]

    @property
    def moves(self) -> bool:
        """Whether integers pass through unchanged."""
        return _moves(self.node)

    @property
    def weighted(self) -> bool:
        """Whether it has a constant weight of its own."""
        return weight_index(self.node) is not None


def integer_sites(graph: ir.Graph, exclude: Collection[str] = ()) -> tuple[Site, ...]:
    """What will run in integers, in graph order.

    Args:
        exclude: names of nodes that stay float, and with each the Relu or Clip that would become part of it.
    """
    sites: list[Site] = []
    absorbed: set[ir.Node] = set()
    for node in graph:
        if node in absorbed or not can_run_in_integers(node):
            continue
        activation = _absorbed_activation(node)
        outputs = tuple(output for output in node.outputs if output.uses() or output.is_graph_output())
        if activation is not None:
            absorbed.add(activation)
            outputs = (activation.outputs[0],)
        if node.name not in exclude:
            sites.append(Site(node, activations_of(node), outputs))
    return _not_alone(sites)


def check_float(model: ir.Model) -> None:
    """Raises: ModelError: the model is quantized."""
    if any(operator_of(node) == "QuantizeLinear" for node in model.graph):
        raise ModelError("model: is quantized already; give the float model")


def alike(sites: Iterable[Site]) -> list[Group]:
    """All tensors to quantize, weights aside, grouped by what must be quantized alike; in graph order."""
    groups: dict[ir.Value, Group] = {}
    computed: set[ir.Value] = set()
    for site in sites:
        tensors = (*site.inputs, *site.outputs)
        if site.moves:
            _join(groups, tensors)
        else:
            computed.update(tensors)
            for tensor in tensors:
                _join(groups, (tensor,))
    return [group for group in dict.fromkeys(groups.values()) if computed.intersection(group)]


def sources(group: Group, apart: Collection[ir.Node] = ()) -> tuple[ir.Value, ...]:
    """The tensors that a group's values come from: those that operators on the way only moved are left out.

    Args: apart: of what takes apart these give values of their own.
    """
    found: dict[ir.Value, None] = {}
    seen: set[ir.Value] = set()
    waiting = list(group[::-1])
    while waiting:
        tensor = waiting.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        producer = tensor.producer()
        own = producer in apart and takes_apart(producer)
        if producer is not None and not own and _moves(producer) and can_run_in_integers(producer):
            waiting.extend(activations_of(producer)[::-1])
        else:
            found[tensor] = None
    return tuple(found)


def takes_apart(node: ir.Node | None) -> bool:
    """Whether a node gives parts of a tensor, which may be narrower than the whole."""
    return node is not None and operator_of(node) in ("Gather", "Slice", "Split") and constant(node.inputs[0]) is None


def is_activated(tensor: ir.Value) -> bool:
    """Whether a tensor comes out of a Relu or Clip that becomes part of the operator before it."""
    producer = tensor.producer()
    before = None if producer is None or not producer.inputs else producer.inputs[0]
    source = None if before is None else before.producer()
    return source is not None and _absorbed_activation(source) is producer


def known_range(tensor: ir.Value) -> Range | None:
    """The range of a constant, or of a function that has one whatever the data."""
    array, producer = constant(tensor), tensor.producer()
    if array is not None:
        return (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    return None if producer is None else _KNOWN_RANGES.get(operator_of(producer))


def can_run_in_integers(node: ir.Node) -> bool:
    """Whether a float operator can run in integers once its tensors are quantized."""
    if operator_of(node) not in _WEIGHTED | _COMPUTING | _MOVING:
        return False
    if any(tensor.dtype != ir.DataType.FLOAT for tensor in activations_of(node)):
        return False
    match operator_of(node):
        case "MatMul":
            return weight_index(node) is not None or all(_rank(tensor) >= 2 for tensor in activations_of(node))
        case "Gemm":
            return _constants(node, 1) and _is_plain(node) and _bias_is_vector(node)
        case "Add" | "Sub":
            return not any(_is_mask(tensor) or _is_guard(tensor) for tensor in node.inputs)
        case "Mul":
            return not any(_is_mask(tensor) for tensor in node.inputs)
        case "Pad":
            return _constants(node, 1) and not _adds_a_number(node)
        case "Resize":
            return _constants(node, 1) and (_moves(node) or _is_plainly_linear(node))
        case "Concat" | "Gather":
            return True
        case "MaxPool":
            return len(node.outputs) == 1 or not node.outputs[1].uses()
        case "Split":
            return _constants(node, 1)
        case "Softmax":
            return not node.outputs[0].is_graph_output() and _comes_from_integers(node.inputs)
    return _constants(node, 1) and not any(output.uses() for output in node.outputs[1:])


def weight_index(node: ir.Node) -> int | None:
    """Which input is the constant weight of a node; of a MatMul the second or the first, if it is a matrix."""
    if operator_of(node) == "MatMul":
        matrices = (i for i in (1, 0) if _rank(node.inputs[i]) == 2 and constant(node.inputs[i]) is not None)
        return next(matrices, None)
    return 1 if operator_of(node) in _WEIGHTED and _constants(node, 1) else None


def activations_of(node: ir.Node) -> tuple[ir.Value, ...]:
    """The tensors a node computes on; not its weights, axes, indices or shapes."""
    if operator_of(node) in _OF_TWO or operator_of(node) == "Concat":
        weight = weight_index(node)
        return tuple(x for i, x in enumerate(node.inputs) if x is not None and i != weight)
    return tuple(tensor for tensor in node.inputs[:1] if tensor is not None)


def _absorbed_activation(node: ir.Node) -> ir.Node | None:
    """The Relu or Clip that becomes part of a node."""
    output = node.outputs[0]
    users = [use.node for use in output.uses()]
    alone = len(users) == 1 and not output.is_graph_output()
    return users[0] if operator_of(node) in _ACTIVATED and alone and _is_bounded(users[0]) else None


def _not_alone(sites: list[Site]) -> tuple[Site, ...]:
    """Without operators between float ones only: there, integers cost two conversions and save nothing."""
    while True:
        touched = Counter(tensor for site in sites for tensor in {*site.inputs, *site.outputs})
        kept = [site for site in sites if site.weighted or any(_is_shared(x, touched) for x in _variables(site))]
        if len(kept) == len(sites):
            return tuple(kept)
        sites = kept


def _variables(site: Site) -> list[ir.Value]:
    return [tensor for tensor in (*site.inputs, *site.outputs) if constant(tensor) is None]


def _is_shared(tensor: ir.Value, touched: Counter[ir.Value]) -> bool:
    return touched[tensor] > 1 or tensor.is_graph_input() or tensor.is_graph_output()


def _join(groups: dict[ir.Value, Group], tensors: Group) -> None:
    """Make one group of the groups of all these tensors."""
    joined = tuple(dict.fromkeys(member for tensor in tensors for member in groups.get(tensor, (tensor,))))
    for member in joined:
        groups[member] = joined


def _constants(node: ir.Node, first: int) -> bool:
    return all(tensor is None or constant(tensor) is not None for tensor in node.inputs[first:])


def _is_bounded(node: ir.Node) -> bool:
    """Whether a node is a Relu, or a Clip with constant bounds."""
    return operator_of(node) in ("Relu", "Clip") and _constants(node, 1)


def _comes_from_integers(tensors: Iterable[ir.Value | None]) -> bool:
    """Whether what computed tensors runs in integers too: a Softmax behind a mask takes floats."""
    producers = [source.producer() for source in sources(tuple(tensor for tensor in tensors if tensor is not None))]
    return all(producer is None or can_run_in_integers(producer) for producer in producers)


def _is_mask(tensor: ir.Value | None) -> bool:
    """Whether a tensor hides elements: a constant with huge numbers, or chosen by or multiplied with one."""
    for _ in range(16):  # a mask is made in few steps
        array = constant(tensor)
        if array is not None:
            return _largest(array) >= _MASKING or _hides(array)
        producer = None if tensor is None else tensor.producer()
        if producer is None:
            return False
        if operator_of(producer) in ("Mul", "Where", "Add", "Sub"):
            return any(x is not None and _largest(constant(x)) >= _MASKING for x in producer.inputs)
        if not _moves(producer):
            return False
        tensor = producer.inputs[0]
    return False


def _hides(array: NDArray[np.generic]) -> bool:
    """Whether a constant hides some elements from a Softmax and leaves others."""
    if array.dtype.kind != "f" or array.ndim < 2:
        return False
    values = array.astype(np.float64)
    hidden, seen = values <= _HIDING, values >= _HIDING / 2
    return bool(hidden.any() and seen.any() and (hidden | seen).all())


def _is_guard(tensor: ir.Value | None) -> bool:
    array = constant(tensor)
    return array is not None and array.size == 1 and 0 < _largest(array) <= _GUARDING


def _largest(array: NDArray[np.generic] | None) -> float:
    return 0.0 if array is None or array.dtype.kind != "f" else float(np.abs(array).max(initial=0))


def _adds_a_number(pad: ir.Node) -> bool:
    """Whether a Pad adds anything but zeros or elements of its own."""
    value = constant(pad.inputs[2]) if len(pad.inputs) > 2 else None
    return pad.attributes.get_string("mode", "constant") == "constant" and value is not None and bool(value.any())


def _moves(node: ir.Node) -> bool:
    """Whether all elements of a node's results are elements of its inputs."""
    if operator_of(node) == "Resize":
        return node.attributes.get_string("mode", "nearest") == "nearest"
    return operator_of(node) in _MOVING


def _is_plainly_linear(resize: ir.Node) -> bool:
    """Whether a Resize gives what lies between neighbours, along one axis or two adjacent ones."""
    attributes, given = resize.attributes, resize.inputs[0]
    assert given is not None
    shapes = zip(static_shape(given), static_shape(resize.outputs[0]), strict=True)
    axes = [axis for axis, (before, after) in enumerate(shapes) if before != after]
    return (
        attributes.get_string("mode") == "linear"
        and attributes.get_string("coordinate_transformation_mode", "half_pixel") != "tf_crop_and_resize"
        and not attributes.get_int("antialias", 0)
        and not attributes.get_int("exclude_outside", 0)
        and 0 < len(axes) == axes[-1] - axes[0] + 1 <= 2
    )


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
    return -1 if tensor is None or tensor.shape is None else len(tensor.shape)
