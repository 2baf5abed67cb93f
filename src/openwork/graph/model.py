"""Reading and writing the constants and shapes of an onnx_ir.Model."""

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.errors import ModelError


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The array behind an initializer or a Constant node; None for anything known only at run time.

    An initializer that is a graph input too is only a default, which a caller may replace: no constant.
    """
    if value is None or value.is_graph_input():
        return None
    tensor = value.const_value
    producer = value.producer()
    if tensor is None and producer is not None and producer.op_type == "Constant":
        tensor = producer.attributes.get_tensor("value")
    return None if tensor is None else tensor.numpy()


def static_shape(value: ir.Value) -> tuple[int, ...]:
    """The shape of a value in elements.

    Raises: ModelError: the shape is unknown or has a symbolic dimension.
    """
    if value.shape is None or not value.shape.is_static():
        shape = "unknown" if value.shape is None else f"[{', '.join(map(str, value.shape))}]"
        raise ModelError(
            f"value {value.name!r}: its shape is {shape}; fix the input shapes with --set-shape NAME=1,3,8,8"
        )
    return value.shape.numpy()


def add_initializer(graph: ir.Graph, name: str, array: NDArray[np.generic]) -> ir.Value:
    """Add a constant under `name`, or under `name_1`, `name_2`, ... where that is taken."""
    taken = {value.name for node in graph for value in node.outputs}
    taken |= {value.name for value in graph.inputs} | set(graph.initializers)
    unique, count = name, 0
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    value = ir.val(unique, const_value=ir.tensor(np.asarray(array, order="C"), name=unique))
    graph.register_initializer(value)
    return value


def set_constant_input(node: ir.Node, index: int, name: str, array: NDArray[np.generic]) -> None:
    """Make input `index` of a node (which may be absent so far) a constant of its own called `name`.

    A constant that only this node read is removed and gives its name free.
    """
    graph = node.graph
    assert isinstance(graph, ir.Graph)
    if len(node.inputs) <= index:
        node.resize_inputs(index + 1)
    old = node.inputs[index]
    node.replace_input_with(index, None)
    if old is not None and old.is_initializer() and not old.uses() and not old.is_graph_output():
        del graph.initializers[str(old.name)]
    node.replace_input_with(index, add_initializer(graph, name, array))
