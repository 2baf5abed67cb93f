"""Rank-4 inputs and outputs in the layout [N, H, W, C]."""

import onnx_ir as ir

NCHW_FROM_NHWC = (0, 3, 1, 2)
NHWC_FROM_NCHW = (0, 2, 3, 1)


def channels_last(model: ir.Model) -> ir.Model:
    """A model that takes and gives images channels last; `model` is not modified.

        before: x[N, C, H, W] -> ... -> y[N, C, H, W]
        after:  x[N, H, W, C] -> Transpose -> x_nchw -> ... -> y_nchw -> Transpose -> y[N, H, W, C]

    Inputs and outputs of other ranks stay as they are.

    Requires: static shapes and unique names. Ensures: inputs and outputs keep their names, types and order.
    """
    result = model.clone()
    graph = result.graph
    for index, value in enumerate(graph.inputs):
        if _rank(value) == 4:
            graph.inputs[index] = _fed_channels_last(graph, value)
    for index, value in enumerate(graph.outputs):
        if _rank(value) == 4:
            graph.outputs[index] = _given_channels_last(graph, value)
    graph.sort()
    return result


def _fed_channels_last(graph: ir.Graph, inner: ir.Value) -> ir.Value:
    """A new input that takes the place of `inner`, which becomes its transpose."""
    outer = _transposed(inner, NHWC_FROM_NCHW)
    inner.name = _free_name(graph, inner)
    transpose = _transpose(outer, NCHW_FROM_NHWC, ir.val(inner.name, type=inner.type, shape=inner.shape))
    inner.replace_all_uses_with(transpose.outputs[0], replace_graph_outputs=True)
    graph.append(transpose)
    return outer


def _given_channels_last(graph: ir.Graph, inner: ir.Value) -> ir.Value:
    """A new output that takes the name of `inner` and is its transpose."""
    outer = _transposed(inner, NHWC_FROM_NCHW)
    inner.name = _free_name(graph, inner)
    graph.append(_transpose(inner, NHWC_FROM_NCHW, outer))
    return outer


def _transposed(value: ir.Value, perm: tuple[int, ...]) -> ir.Value:
    """A value of the name and type of `value`, its axes permuted."""
    assert value.shape is not None
    return ir.val(value.name, type=value.type, shape=ir.Shape(value.shape[axis] for axis in perm))


def _transpose(source: ir.Value, perm: tuple[int, ...], result: ir.Value) -> ir.Node:
    return ir.node("Transpose", [source], {"perm": perm}, outputs=[result], name=f"{result.name}_transpose")


def _free_name(graph: ir.Graph, value: ir.Value) -> str:
    taken = {*(each.name for each in graph.inputs), *graph.initializers}
    taken |= {each.name for node in graph.all_nodes() for each in node.outputs}
    name = f"{value.name}_nchw"
    while name in taken:
        name += "_"
    return name


def _rank(value: ir.Value) -> int | None:
    return None if value.shape is None else len(value.shape)
