"""Strange but valid ONNX files: what other tools write, and onnxruntime runs."""

from collections.abc import Callable, Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

SHAPE = (2, 3, 4, 4)
_RANDOM = np.random.default_rng(0)
WEIGHT = _RANDOM.normal(size=(5, 3, 3, 3)).astype("f") * (_RANDOM.uniform(size=(5, 3, 3, 3)) < 0.2)
MATRIX = _RANDOM.normal(size=(4, 6)).astype("f") * (_RANDOM.uniform(size=(4, 6)) < 0.2)


def tensor(name: str, array: NDArray[np.generic]) -> TensorProto:
    return numpy_helper.from_array(np.asarray(array), name)


def network(version: int = 20, *, ir_version: int = 10) -> onnx.ModelProto:
    """Conv, Relu and MatMul on x float32[2, 3, 4, 4]; y is its output."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], name="conv"),
        helper.make_node("Relu", ["c"], ["r"], name="relu"),
        helper.make_node("MatMul", ["r", "m"], ["y"], name="product"),
    ]
    graph = helper.make_graph(
        nodes,
        "strange",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 5, 4, 6])],
        [tensor("w", WEIGHT), tensor("m", MATRIX)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=ir_version)


def sparse(name: str, array: NDArray[np.generic], *, flat: bool = True) -> onnx.SparseTensorProto:
    """A tensor by its nonzero elements."""
    places = np.flatnonzero(array) if flat else np.argwhere(array)
    values = tensor(name, array.reshape(-1)[np.flatnonzero(array)])
    return helper.make_sparse_tensor(values, tensor(f"{name}_indices", places.astype(np.int64)), array.shape)


def _changed(change: Callable[[onnx.ModelProto], object], **options: int) -> onnx.ModelProto:
    model = network(**options)
    change(model)
    return model


def _output_without_type(model: onnx.ModelProto) -> None:
    model.graph.output[0].ClearField("type")


def _output_without_shape(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.ClearField("shape")


def _hints_without_type(model: onnx.ModelProto) -> None:
    model.graph.value_info.add(name="c")
    model.graph.value_info.add(name="r").type.tensor_type.elem_type = TensorProto.FLOAT
    model.graph.value_info.add(name="nowhere")


def _hints_twice(model: onnx.ModelProto) -> None:
    for _ in range(2):
        model.graph.value_info.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, ["N", 5, "H", "W"]))


def _open_sizes(*sizes: int | str | None) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for value, axes in ((model.graph.input[0], 2), (model.graph.output[0], 1)):
            for dim, size in zip(value.type.tensor_type.shape.dim[:axes], sizes, strict=False):
                dim.Clear()
                if isinstance(size, str):
                    dim.dim_param = size
                elif size is not None:
                    dim.dim_value = size

    return change


def _initializers_are_inputs(model: onnx.ModelProto) -> None:
    for each in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(each.name, each.data_type, each.dims))


def _custom_domain_only(model: onnx.ModelProto) -> None:
    del model.opset_import[:]
    model.opset_import.add(domain="my.domain", version=1)


def _domains(model: onnx.ModelProto) -> None:
    for domain, version in (("ai.onnx.ml", 3), ("com.microsoft", 1), ("my.domain", 7), ("ai.onnx.training", 1)):
        model.opset_import.add(domain=domain, version=version)


def _function(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Add", ["a", "a"], ["t"]), helper.make_node("Sub", ["t", "a"], ["b"])]
    opsets = [helper.make_opsetid("", 20)]
    model.functions.append(helper.make_function("my.domain", "Same", ["a"], ["b"], nodes, opsets))
    model.opset_import.add(domain="my.domain", version=1)
    model.graph.node[1].input[0] = "s"
    model.graph.node.insert(1, helper.make_node("Same", ["c"], ["s"], domain="my.domain"))


def _remarks(model: onnx.ModelProto) -> None:
    model.doc_string = model.graph.doc_string = model.graph.node[0].doc_string = "a remark\nof two lines"
    model.metadata_props.add(key="author", value="somebody")
    model.graph.metadata_props.add(key="made", value="by hand")
    model.graph.initializer[0].doc_string = "cut"
    model.graph.node[0].metadata_props.add(key="line", value="3")
    model.graph.input[0].doc_string = "an image"


def _training(model: onnx.ModelProto) -> None:
    info = model.training_info.add()
    info.algorithm.name = "training"
    info.algorithm.node.append(helper.make_node("Identity", ["w"], ["new_w"]))
    info.algorithm.output.append(helper.make_tensor_value_info("new_w", TensorProto.FLOAT, WEIGHT.shape))
    info.update_binding.add(key="w", value="new_w")


def _unused_input(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("unused", TensorProto.FLOAT, [3]))


def _names(*names: str) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        for node, name in zip(model.graph.node, names, strict=True):
            node.name = name

    return change


def _reversed_nodes(model: onnx.ModelProto) -> None:
    nodes = [*model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes[::-1])


def _nameless_graph(model: onnx.ModelProto) -> None:
    model.graph.name = ""


def _sparse(flat: bool) -> Callable[[onnx.ModelProto], None]:
    def change(model: onnx.ModelProto) -> None:
        del model.graph.initializer[:]
        model.graph.sparse_initializer.extend([sparse("w", WEIGHT, flat=flat), sparse("m", MATRIX, flat=flat)])

    return change


def _sparse_constant(model: onnx.ModelProto) -> None:
    del model.graph.initializer[1]
    model.graph.node.insert(0, helper.make_node("Constant", [], ["m"], sparse_value=sparse("", MATRIX)))


def _constants(model: onnx.ModelProto) -> None:
    made = [
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Constant", [], ["row"], value_floats=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        helper.make_node("Constant", [], ["two"], value_int=2),
        helper.make_node("Constant", [], ["sizes"], value_ints=[2, -1]),
        helper.make_node("Constant", [], ["text"], value_string="a text"),
        helper.make_node("Constant", [], ["texts"], value_strings=["a", "b"]),
    ]
    nodes = [
        helper.make_node("Mul", ["p", "half"], ["h"]),
        helper.make_node("Add", ["h", "row"], ["s"]),
        helper.make_node("Cast", ["two"], ["t"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["s", "t"], ["u"]),
        helper.make_node("Reshape", ["u", "sizes"], ["y"]),
    ]
    model.graph.node[2].output[0] = "p"
    for index, node in enumerate(made):
        model.graph.node.insert(index, node)
    model.graph.node.extend(nodes)
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 120]))


def _optional_outputs(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "p"
    pool = helper.make_node("MaxPool", ["c"], ["p", ""], kernel_shape=[1, 1])
    drop = helper.make_node("Dropout", ["p", "", ""], ["d", ""])
    model.graph.node.insert(1, pool)
    model.graph.node.insert(2, drop)
    model.graph.node[3].input[0] = "d"


def _absent_inputs(model: onnx.ModelProto) -> None:
    model.graph.node[0].input.append("")
    model.graph.node.insert(2, helper.make_node("Clip", ["r", "", "high"], ["k"]))
    model.graph.initializer.append(tensor("high", np.float32(0.5)))
    model.graph.node[3].input[0] = "k"


def _output_twice_read(model: onnx.ModelProto) -> None:
    """An output that other nodes read."""
    model.graph.output.insert(0, onnx.ValueInfoProto(name="r"))


def _double_initializers(model: onnx.ModelProto) -> None:
    """The first of a name counts."""
    model.graph.initializer.append(tensor("w", np.zeros_like(WEIGHT)))
    model.graph.initializer.append(tensor("", np.float32([1])))


def _two_versions(model: onnx.ModelProto) -> None:
    model.opset_import.insert(0, helper.make_opsetid("ai.onnx", 13))


def _output_twice(model: onnx.ModelProto) -> None:
    model.graph.output.append(model.graph.output[0])


def _remark_between_tools(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("__made_by", "a tool"))


MODELS: Mapping[str, onnx.ModelProto] = {
    "plain": network(),
    "output without type": _changed(_output_without_type),
    "output without shape": _changed(_output_without_shape),
    "hints without type": _changed(_hints_without_type),
    "hints twice": _changed(_hints_twice),
    "a named size": _changed(_open_sizes("batch")),
    "an empty size": _changed(_open_sizes(None)),
    "an empty name of a size": _changed(_open_sizes("")),
    "a size of -1": _changed(_open_sizes(-1)),
    "a question mark as size": _changed(_open_sizes("?")),
    "initializers are inputs": _changed(_initializers_are_inputs),
    "a custom domain only": _changed(_custom_domain_only),
    "several domains": _changed(_domains),
    "a function": _changed(_function),
    "remarks": _changed(_remarks),
    "training": _changed(_training),
    "an unused input": _changed(_unused_input),
    "nodes without names": _changed(_names("", "", "")),
    "a node without name": _changed(_names("a", "b", "")),
    "nodes out of order": _changed(_reversed_nodes),
    "a graph without name": _changed(_nameless_graph),
    "sparse initializers, flat": _changed(_sparse(True)),
    "sparse initializers, by axis": _changed(_sparse(False)),
    "a sparse constant": _changed(_sparse_constant),
    "every kind of constant": _changed(_constants),
    "optional outputs": _changed(_optional_outputs),
    "absent inputs": _changed(_absent_inputs),
    "an output that is read": _changed(_output_twice_read),
    "two initializers of one name": _changed(_double_initializers),
    "two versions of a domain": _changed(_two_versions),
    "an output twice": _changed(_output_twice),
    "a remark between tools": _changed(_remark_between_tools),
    "old, output without type": _changed(_output_without_type, version=9),
    "old, nodes out of order": _changed(_reversed_nodes, version=9),
    "old, sparse initializers": _changed(_sparse(True), version=9),
    "old, a sparse constant": _changed(_sparse_constant, version=11),
    "old, a size of -1": _changed(_open_sizes(-1), version=9),
    **{f"IR {version}": network(ir_version=version) for version in (4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14)},
    "IR 3": _changed(_initializers_are_inputs, version=8, ir_version=3),
    **{f"opset {version}": network(version) for version in range(7, 27)},
}
