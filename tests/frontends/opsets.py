"""Small graphs of the common operators, as each version of ONNX writes them."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper

SHAPE = (1, 3, 6, 6)

Constants = dict[str, NDArray[np.generic]]
Case = tuple[Sequence[onnx.NodeProto], Constants]

_RANDOM = np.random.default_rng(0)


def _floats(*shape: int) -> NDArray[np.float32]:
    return _RANDOM.normal(size=shape).astype(np.float32)


def _ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


_CONSTANTS: Constants = {
    **{"w": _floats(4, 3, 3, 3), "b": _floats(4), "v": _floats(3, 4, 2, 2), "g": _floats(5, 108), "h": _floats(5)},
    **{"m": _floats(6, 4), "c": _floats(3), "s": np.abs(_floats(3)), "p": np.abs(_floats(3, 1, 1))},
    **{"lstm_w": _floats(1, 16, 6), "lstm_r": _floats(1, 16, 4)},
}


def _node(operator: str, inputs: str, outputs: str = "y", **attributes: Any) -> onnx.NodeProto:
    """`x,,s` has no second input."""
    return helper.make_node(operator, inputs.split(","), outputs.split(","), **attributes)


def _as_input(operator: str, inputs: str, since: int, version: int, name: str, value: Any, **attributes: Any) -> Case:
    """An operator one of whose attributes became an input."""
    if version < since:
        return [_node(operator, inputs, **{name: value}, **attributes)], {}
    array = np.asarray(value, np.float32 if isinstance(value, float) else np.int64)
    return [_node(operator, f"{inputs},{name}", **attributes)], {name: array}


def _clip(version: int) -> Case:
    if version < 11:
        return [_node("Clip", "x", min=-0.5, max=0.5)], {}
    return [_node("Clip", "x,low,high")], {"low": np.float32(-0.5), "high": np.float32(0.5)}


def _pad(version: int) -> Case:
    pads = [0, 0, 1, 2, 0, 0, 0, 1]
    if version < 11:
        return [_node("Pad", "x", pads=pads, value=0.5)], {}
    return [_node("Pad", "x,pads,fill")], {"pads": _ints(*pads), "fill": np.float32(0.5)}


def _slice(version: int) -> Case:
    numbers = {"starts": [1, 0], "ends": [3, -1], "axes": [1, 2]}
    if version < 10:
        return [_node("Slice", "x", **numbers)], {}
    return [_node("Slice", "x,starts,ends,axes")], {name: _ints(*each) for name, each in numbers.items()}


def _split(version: int) -> Case:
    (split,), constants = _as_input("Split", "x", 13, version, "split", [1, 2], axis=1)
    split.output[:] = ["one", "two"]
    return [split, _node("Concat", "two,one", axis=1)], constants


def _halves(version: int) -> Case:
    attributes = {"num_outputs": 2} if version >= 18 else {}
    return [_node("Split", "x", "one,two", axis=3, **attributes), _node("Sub", "two,one")], {}


def _resize(mode: str, scales: Sequence[float]) -> Callable[[int], Case]:
    def build(version: int) -> Case:
        constants: Constants = {"scales": np.array([1, 1, *scales], np.float32)}
        if version < 9:
            return [_node("Upsample", "x", mode=mode, scales=[1.0, 1.0, *scales])], {}
        if version < 11:
            return [_node("Upsample" if version < 10 else "Resize", "x,scales", mode=mode)], constants
        constants["roi"] = np.float32([])
        how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return [_node("Resize", "x,roi,scales", mode=mode, **how)], constants

    return build


def _shrink(version: int) -> Case:
    """Upsample could not."""
    return _resize("nearest", [0.7, 0.6] if version == 10 else [1.0, 1.0])(version)


def _mean(version: int) -> Case:
    return _as_input("ReduceMean", "x", 18, version, "axes", [2, 3], keepdims=0)


def _top(version: int) -> Case:
    (node,), constants = _as_input("TopK", "x", 10, version, "k", 2 if version < 10 else [2], axis=3)
    node.output.append("places")
    return [node], constants


def _batch_of_shape(version: int) -> Case:
    """What exporters wrote for `x.view(x.size(0), -1)`."""
    (unsqueeze,), constants = _as_input("Unsqueeze", "n", 13, version, "axes", [0])
    unsqueeze.output[:] = ["n1"]
    nodes = [_node("Shape", "x", "shape"), _node("Gather", "shape,zero", "n", axis=0), unsqueeze]
    nodes += [_node("Concat", "n1,rest", "new", axis=0), _node("Reshape", "x,new")]
    return nodes, {**constants, "zero": np.asarray(0, np.int64), "rest": _ints(-1)}


def _normalized(version: int) -> Case:
    (mean,), constants = _as_input("ReduceMean", "x", 18, version, "axes", [3])
    (variance,), _ = _as_input("ReduceMean", "square", 18, version, "axes", [3])
    mean.output[:], variance.output[:] = ["mean"], ["variance"]
    nodes = [mean, _node("Sub", "x,mean", "d"), _node("Mul", "d,d", "square"), variance]
    nodes += [_node("Add", "variance,eps", "sum"), _node("Sqrt", "sum", "root"), _node("Div", "d,root")]
    return nodes, {**constants, "eps": np.float32(1e-5)}


def _activations(version: int) -> Case:
    names = ("Relu", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "HardSigmoid", "Softplus", "Softsign", "Selu", "Abs", "Neg")
    nodes, last = [], "x"
    for name in (*names, "Exp", "Floor", "Ceil", "Reciprocal"):
        nodes.append(_node(name, last, name))
        last = name
    return [*nodes, _node("Add", f"{last},x")], {}


def _arithmetic(version: int) -> Case:
    nodes = [
        _node("Mul", "x,p", "a"),
        _node("Sub", "a,x", "d"),
        _node("Div", "d,three", "e"),
        _node("Pow", "e,two", "f"),
    ]
    nodes += [_node("Sqrt", "f", "i"), _node("Sum", "i,x,x", "j"), _node("Mean", "j,x", "k"), _node("Max", "k,x", "l")]
    return [*nodes, _node("Min", "l,j")], {"two": np.float32(2), "three": np.float32(3)}


def _comparisons(version: int) -> Case:
    nodes = [_node("Greater", "x,bound", "a"), _node("Not", "a", "d"), _node("Less", "x,bound", "e")]
    return [*nodes, _node("And", "d,e", "f"), _node("Cast", "f", to=1)], {"bound": np.float32(0.1)}


def _quantized(version: int) -> Case:
    if version < 10:
        return [_node("Relu", "x")], {}
    nodes = [_node("QuantizeLinear", "x,xs,xz", "q"), _node("QLinearConv", "q,xs,xz,qw,ws,wz,ys,xz,qb", "r")]
    return [*nodes, _node("DequantizeLinear", "r,ys,xz")], {
        **{
            "xs": np.float32(0.02),
            "ws": np.float32(0.01),
            "ys": np.float32(0.1),
            "xz": np.uint8(120),
            "wz": np.int8(0),
        },
        **{"qw": np.arange(-54, 54).reshape(4, 3, 3, 3).astype(np.int8), "qb": np.arange(4).astype(np.int32)},
    }


def _branches(version: int) -> Case:
    """Operators inside of subgraphs are old too."""
    if version < 8:
        return [_node("Softmax", "x")], {}
    then, other = (
        helper.make_graph([_node(name, "x", name)], name, [], [_output(name, 4)]) for name in ("Softmax", "LogSoftmax")
    )
    nodes = [_node("ReduceSum", "x", "sum", keepdims=0), _node("Greater", "sum,bound", "condition")]
    return [*nodes, _node("If", "condition", then_branch=then, else_branch=other)], {"bound": np.float32(0)}


def _plain(operator: str, inputs: str = "x", **attributes: Any) -> Callable[[int], Case]:
    return lambda version: ([_node(operator, inputs, **attributes)], {})


def _after_flatten(operator: str, inputs: str, **attributes: Any) -> Callable[[int], Case]:
    return lambda version: ([_node("Flatten", "x", "flat", axis=1), _node(operator, inputs, **attributes)], {})


def _recurrent(version: int) -> Case:
    (squeeze,), constants = _as_input("Squeeze", "x", 13, version, "axes", [0])
    squeeze.output[:] = ["sequence"]
    return [squeeze, _node("LSTM", "sequence,lstm_w,lstm_r", hidden_size=4)], constants


def _constant(version: int) -> Case:
    two = onnx.numpy_helper.from_array(np.float32([2]))
    nodes = [helper.make_node("Constant", [], ["two"], value=two), _node("Identity", "x", "same")]
    return [*nodes, _node("Mul", "same,two")], {}


# Each with its number of output dimensions.
CASES: dict[str, tuple[Callable[[int], Case], int]] = {
    "activations": (_activations, 4),
    "arithmetic": (_arithmetic, 4),
    "average pool": (_plain("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1), 4),
    "batch norm": (_plain("BatchNormalization", "x,c,c,c,s"), 4),
    "batch of shape": (_batch_of_shape, 2),
    "branches": (_branches, 4),
    "clip": (_clip, 4),
    "comparisons": (_comparisons, 4),
    "constant": (_constant, 4),
    "convolution": (_plain("Conv", "x,w,b", pads=[1] * 4), 4),
    "convolution transposed": (_plain("ConvTranspose", "x,v", strides=[2, 2]), 4),
    "dropout": (lambda version: ([_node("Dropout", "x", "d,mask"), _node("Relu", "d")], {}), 4),
    "flatten": (_plain("Flatten", axis=2), 2),
    "gemm": (_after_flatten("Gemm", "flat,g,h", transB=1), 2),
    "halves": (_halves, 4),
    "instance norm": (_plain("InstanceNormalization", "x,c,c"), 4),
    "local response norm": (_plain("LRN", size=3), 4),
    "log softmax": (_plain("LogSoftmax", axis=2), 4),
    "matmul": (_plain("MatMul", "x,m"), 4),
    "max pool": (_plain("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 4),
    "mean": (_mean, 2),
    "normalized": (_normalized, 4),
    "pad": (_pad, 4),
    "prelu": (_plain("PRelu", "x,p"), 4),
    "quantized": (_quantized, 4),
    "recurrent": (_recurrent, 4),
    "shrink": (_shrink, 4),
    "slice": (_slice, 4),
    "softmax": (_plain("Softmax"), 4),
    "softmax of channels": (_plain("Softmax", axis=1), 4),
    "softmax of rows": (_plain("Softmax", axis=3), 4),
    "space to depth": (_plain("SpaceToDepth", blocksize=2), 4),
    "split": (_split, 4),
    "squeeze": (lambda version: _as_input("Squeeze", "x", 13, version, "axes", [0]), 3),
    "sum": (lambda version: _as_input("ReduceSum", "x", 13, version, "axes", [1, 2], keepdims=0), 2),
    "top": (_top, 4),
    "transpose": (_plain("Transpose", perm=[0, 2, 3, 1]), 4),
    "unsqueeze": (lambda version: _as_input("Unsqueeze", "x", 13, version, "axes", [0]), 5),
    "upsample": (_resize("nearest", [2.0, 2.0]), 4),
    "upsample linear": (_resize("linear", [2.0, 1.5]), 4),
    "upsample unevenly": (_resize("nearest", [1.7, 1.5]), 4),
}


def network(version: int) -> onnx.ModelProto:
    """All cases side by side on one input `x` float32[N, 3, 6, 6]; each has an output called after it."""
    nodes: list[onnx.NodeProto] = []
    constants = dict(_CONSTANTS)
    for name, (build, _) in CASES.items():
        own, numbers = build(version)
        nodes += [_renamed(node, name, numbers) for node in own]
        constants |= {f"{name}/{key}": np.asarray(array) for key, array in numbers.items()}
    tensors = [onnx.numpy_helper.from_array(array, key) for key, array in constants.items()]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", *SHAPE[1:]])
    listed = [] if version > 8 else [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors]
    outputs = [_output(name, rank) for name, (_, rank) in CASES.items()]
    return helper.make_model(
        helper.make_graph(nodes, "all", [x, *listed], outputs, tensors),
        opset_imports=[helper.make_opsetid("", version)],
        ir_version=3 if version < 9 else 8,  # in the older, initializers are inputs too
    )


def single(name: str, version: int) -> onnx.ModelProto:
    """One case alone; its output is `y`."""
    build, rank = CASES[name]
    nodes, numbers = build(version)
    constants = {**_CONSTANTS, **numbers}
    read = dict.fromkeys(name for node in nodes for name in node.input if name in constants)
    tensors = [onnx.numpy_helper.from_array(np.asarray(constants[name]), name) for name in read]
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["N", *SHAPE[1:]])
    graph = helper.make_graph(nodes, name, [x], [_output("y", rank)], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)


def _output(name: str, rank: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [f"{name}/{axis}" for axis in range(rank)])


def _renamed(node: onnx.NodeProto, case: str, numbers: Constants) -> onnx.NodeProto:
    """The same node with names of its own; `x` and what all share keep theirs."""
    shared = {"x", "", *_CONSTANTS} - set(numbers)
    node.input[:] = [name if name in shared else f"{case}/{name}" for name in node.input]
    node.output[:] = [case if name == "y" else f"{case}/{name}" for name in node.output]
    return node
