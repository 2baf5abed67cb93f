"""Small graphs for tests: written as text, or random."""

import numpy as np
import onnx
import onnx_ir as ir
from hypothesis import strategies as st
from numpy.typing import NDArray


def graph(text: str, *, opset: int = 20, **constants: NDArray[np.generic]) -> ir.Model:
    """A model from ONNX's text, `(float[1,4] x) => (float[1,4] y) { y = Relu(x) }`, and its constants."""
    header = f'<ir_version: 10, opset_import: ["": {opset}]> test '
    proto = onnx.parser.parse_model(header + text)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items())
    return ir.from_proto(proto)


def to_bytes(model: ir.Model) -> bytes:
    """What the model is, byte for byte."""
    return ir.to_proto(model).SerializeToString(deterministic=True)


def operators(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


class _Network:
    """Grows a network of nodes on tensors [batch, channels, size, size]."""

    def __init__(self, draw: st.DrawFn):
        self.draw = draw
        self.random = np.random.default_rng(draw(st.integers(0, 1000)))
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.shapes: dict[str, tuple[int, int]] = {}  # tensor -> channels, size
        self.last = "x"

    def constant(self, array: NDArray[np.generic]) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(array, name))
        return name

    def floats(self, *shape: int) -> str:
        return self.constant(self.random.normal(size=shape).astype(np.float32))

    def node(self, operator: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        names = [f"t{len(self.nodes)}" + "abc"[i] for i in range(outputs)]
        self.nodes.append(onnx.helper.make_node(operator, inputs, names, **attributes))
        return names[0]

    def grow(self) -> None:
        step = self.draw(st.sampled_from(sorted(name for name in dir(self) if name.startswith("op_"))))
        shape = self.shapes[self.last]
        self.last = getattr(self, step)(self.last, *shape)
        self.shapes.setdefault(self.last, shape)

    def op_conv(self, x: str, channels: int, size: int) -> str:
        out = self.draw(st.integers(1, 4))
        weight = self.floats(out, channels, 3, 3)
        bias = [self.floats(out)] if self.draw(st.booleans()) else []
        y = self.node("Conv", x, weight, *bias, pads=[1, 1, 1, 1])
        self.shapes[y] = (out, size)
        return y

    def op_depthwise(self, x: str, channels: int, size: int) -> str:
        return self.node("Conv", x, self.floats(channels, 1, 1, 1), group=channels)

    def op_batch_norm(self, x: str, channels: int, size: int) -> str:
        variance = self.constant(self.random.uniform(0.5, 2, channels).astype(np.float32))
        mean = [self.floats(channels) for _ in range(3)]
        return self.node("BatchNormalization", x, *mean, variance, epsilon=1e-3)

    def op_relu(self, x: str, channels: int, size: int) -> str:
        return self.node("Relu", x)

    def op_identity(self, x: str, channels: int, size: int) -> str:
        return self.node("Identity", x)

    def op_dropout(self, x: str, channels: int, size: int) -> str:
        return self.node("Dropout", x, outputs=self.draw(st.integers(1, 2)))

    def op_add(self, x: str, channels: int, size: int) -> str:
        return self.node("Add", x, self.draw(st.sampled_from(self.alike(channels, size))))

    def op_twins(self, x: str, channels: int, size: int) -> str:
        return self.node("Add", self.node("Sigmoid", x), self.node("Sigmoid", x))

    def op_computed_bias(self, x: str, channels: int, size: int) -> str:
        zeros = self.node("Expand", self.constant(np.float32([0.5])), self.node("Shape", x))
        return self.node("Add", x, zeros)

    def op_reshape_to_itself(self, x: str, channels: int, size: int) -> str:
        return self.node("Reshape", x, self.node("Shape", x))

    def op_quantized_conv(self, x: str, channels: int, size: int) -> str:
        weight = self.constant(self.random.integers(-127, 128, (channels, channels, 1, 1)).astype(np.int8))
        scale = self.constant(self.random.uniform(0.001, 0.01, channels).astype(np.float32))
        zero = self.constant(np.zeros(channels, np.int8))
        return self.node("Conv", x, self.node("DequantizeLinear", weight, scale, zero, axis=0))

    def op_pool(self, x: str, channels: int, size: int) -> str:
        if size < 2:
            return self.node("Relu", x)
        y = self.node("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        self.shapes[y] = (channels, size // 2)
        return y

    def quantized_input(self) -> str:
        """Of the input alone: elsewhere a sum in another order would round the other way now and then."""
        scale, zero = self.constant(np.float32(0.1)), self.constant(np.uint8(100))
        return self.node("DequantizeLinear", self.node("QuantizeLinear", "x", scale, zero), scale, zero)

    def head(self) -> str:
        """A fully connected layer, written in one of the ways of the world."""
        channels, _ = self.shapes[self.last]
        x = self.node("Flatten", self.node("GlobalAveragePool", self.last))
        if self.draw(st.booleans()):
            return self.node("Add", self.node("MatMul", x, self.floats(channels, 5)), self.floats(5))
        y = self.node("Gemm", x, self.floats(channels, 5), self.floats(1, 5), alpha=0.5, beta=2.0)
        return self.node("BatchNormalization", y, *(self.constant(np.full(5, 0.5, np.float32)) for _ in range(4)))

    def alike(self, channels: int, size: int) -> list[str]:
        return [name for name, shape in self.shapes.items() if shape == (channels, size)]


@st.composite
def networks(draw: st.DrawFn) -> ir.Model:
    """A random network with one input `x` of random shape (symbolic batch) and one or two outputs."""
    network = _Network(draw)
    channels, size = draw(st.integers(1, 4)), draw(st.integers(1, 6))
    network.shapes["x"] = (channels, size)
    if draw(st.booleans()):
        network.last = network.quantized_input()
        network.shapes[network.last] = (channels, size)
    for _ in range(draw(st.integers(1, 8))):
        network.grow()
    inner = draw(st.sampled_from([name for name in network.shapes if name != "x"]))
    outputs = {inner: 4, network.last: 4}  # name -> rank
    if draw(st.booleans()):
        outputs = {inner: 4, network.head(): 2}
    proto = onnx.helper.make_model(
        onnx.helper.make_graph(
            network.nodes,
            "random",
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", channels, size, size])],
            [
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["batch", *"chw"][:rank])
                for name, rank in outputs.items()
            ],
            network.constants,
        ),
        opset_imports=[onnx.helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(proto)
    return ir.from_proto(proto)
