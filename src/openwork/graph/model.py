"""Reading and writing the constants and shapes of an onnx_ir.Model."""

import shlex
from collections import Counter

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import ModelError

# Of the standard operators: the version that older models are converted to when they are read, so that no other floor
# knows older forms. From it on QuantizeLinear has an axis, Softmax one axis only, and Squeeze, ReduceSum and their like
# take axes as inputs.
OLDEST_OPSET = 13

# The newest version that onnxruntime takes, which proves what is compiled.
NEWEST_OPSET = 26

# Of the files that are written or given to onnxruntime, at most: no operator needs a newer one, and an older
# onnxruntime refuses those.
IR_VERSION = 10


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The array behind an initializer or a Constant node; None for anything known only at run time.

    An initializer that is a graph input too is only a default, which a caller may replace: no constant.
    """
    if value is None or value.is_graph_input():
        return None
    tensor = value.const_value
    producer = value.producer()
    if tensor is None and producer is not None and operator_of(producer) == "Constant":
        tensor = producer.attributes.get_tensor("value")
    return None if tensor is None else tensor.numpy()


def operator_of(node: ir.Node) -> str:
    """The operator of a node: its name alone is ONNX's own, all others have their domain in front.

    So a node of somebody else's domain is never taken for ONNX's operator of the same name.
    """
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}::{node.op_type}"


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """The shape of a value in elements.

    Raises: ModelError: the shape is unknown, has a symbolic dimension, or a size below zero, as shape inference gives
        it where a window is larger than its image. Names the node, and inputs whose shapes would help.
    """
    if value.shape is None or not value.shape.is_static():
        told = "unknown" if value.shape is None else f"[{', '.join(map(str, value.shape))}]"
        raise ModelError(f"value {value.name!r}: its shape is {told}; {_remedy(value)}")
    shape = value.shape.numpy()
    if min(shape, default=0) < 0:
        node = value.producer()
        made = "" if node is None else f": what {operator_of(node)} {node.name!r} reads is smaller than its window"
        raise ModelError(
            f"value {value.name!r}: its shape {list(shape)} has a size below 1{made}; give the inputs larger shapes"
        )
    return shape


def example_shape(value: ir.Value) -> str:
    """`x=1,3,224,224`: an input with a plausible size for each that is open, as the command line takes it."""
    dims = ["N", "C", "H", "W"] if value.shape is None else list(value.shape)
    image = len(dims) == 4
    last = dims[-1] if dims else 1
    channels = (
        3 if image and isinstance(last, int) and last <= 4 else 1
    )  # which axis: of images, the second or the last
    guesses = [1, *(224 if image and axis != channels else 3 if image else 128 for axis in range(1, len(dims)))]
    sizes = [size if isinstance(size, int) else guess for size, guess in zip(dims, guesses, strict=False)]
    return shlex.quote(f"{value.name}={','.join(map(str, sizes))}")


def _remedy(value: ir.Value) -> str:
    """What makes a shape static: shapes of graph inputs, if any is open that it depends on."""
    seen, waiting, opened = {value}, [value], []
    while waiting:
        each = waiting.pop()
        node = each.producer()
        if node is not None:
            read = {source for source in node.inputs if source is not None} - seen
            seen |= read
            waiting += read
        elif each.is_graph_input() and (each.shape is None or not each.shape.is_static()):
            opened.append(example_shape(each))
    if opened:
        return f"give {' '.join(f'--set-shape {text}' for text in sorted(opened))} with the sizes that you need"
    return "it depends on what the network computes; export the model so that it does not"


class Constants:
    """Adds constants to a graph, under names that none of its tensors has.

    All names are read when it is made, once: make one for a walk over the graph, not one for each node.
    """

    def __init__(self, graph: ir.Graph):
        self.graph = graph
        self._taken = {value.name for node in graph for value in node.outputs}
        self._taken |= {value.name for value in graph.inputs} | set(graph.initializers)
        self._numbers: Counter[str] = Counter()

    def add(self, name: str, array: NDArray[np.generic]) -> ir.Value:
        """Add a constant under `name`, or under `name_1`, `name_2`, ... where that is taken."""
        unique = name
        while unique in self._taken:
            self._numbers[name] += 1
            unique = f"{name}_{self._numbers[name]}"
        self._taken.add(unique)
        value = ir.val(unique, const_value=ir.tensor(np.asarray(array, order="C"), name=unique))
        self.graph.register_initializer(value)
        return value

    def set_input(self, node: ir.Node, index: int, name: str, array: NDArray[np.generic]) -> None:
        """Make input `index` of a node (which may be absent so far) a constant of its own called `name`.

        A constant that only this node read is removed and gives its name free.
        """
        if len(node.inputs) <= index:
            node.resize_inputs(index + 1)
        old = node.inputs[index]
        node.replace_input_with(index, None)
        if old is not None and old.is_initializer() and not old.uses() and not old.is_graph_output():
            del self.graph.initializers[str(old.name)]
            self._taken.discard(old.name)
        node.replace_input_with(index, self.add(name, array))
