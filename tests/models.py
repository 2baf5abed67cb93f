"""Small models that many tests share: float networks, and the same with QuantizeLinear/DequantizeLinear.

writer = Writer(seed=0)
x = writer.input("x", (1, 3, 8, 8))
y = writer.op("Relu", writer.conv(x, 3, 16, 3, pads=1), name="y")
model = writer.model(y)
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

ONNX_TYPES = {
    "float32": TensorProto.FLOAT,
    "uint8": TensorProto.UINT8,
    "int8": TensorProto.INT8,
    "uint16": TensorProto.UINT16,
    "int16": TensorProto.INT16,
    "int32": TensorProto.INT32,
    "int64": TensorProto.INT64,
    "bool": TensorProto.BOOL,
}


class Writer:
    """Writes an ONNX graph operator by operator; every method returns the name of its result."""

    def __init__(self, seed: int = 0, opset: int = 20):
        self.rng = np.random.default_rng(seed)
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._constants: list[onnx.TensorProto] = []

    def input(self, name: str, shape: Sequence[int | str], dtype: str = "float32") -> str:
        self._inputs.append(helper.make_tensor_value_info(name, ONNX_TYPES[dtype], shape))
        return name

    def constant(self, array: Any, name: str | None = None) -> str:
        name = name or f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def normal(self, *shape: int, scale: float = 1.0) -> NDArray[np.float32]:
        return self.rng.normal(0, scale, shape).astype(np.float32)

    def node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> None:
        """A node of any number of outputs."""
        self._nodes.append(helper.make_node(operator, inputs, outputs, name=f"{outputs[0]}.node", **attributes))

    def op(self, operator: str, *inputs: str, name: str | None = None, **attributes: Any) -> str:
        name = name or f"{operator.lower()}{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=f"{name}.node", **attributes))
        return name

    def conv(
        self, x: str, channels_in: int, channels_out: int, kernel: int, *, pads: int = 0, **attributes: Any
    ) -> str:
        """A 2-D convolution with a bias, its weights scaled so that activations keep their size."""
        inner = channels_in // attributes.get("group", 1)
        weight = self.normal(channels_out, inner, kernel, kernel, scale=(2 / (inner * kernel**2)) ** 0.5)
        bias = self.normal(channels_out, scale=0.1)
        return self.op("Conv", x, self.constant(weight), self.constant(bias), pads=[pads] * 4, **attributes)

    def gemm(self, x: str, features_in: int, features_out: int, name: str | None = None) -> str:
        weight = self.normal(features_out, features_in, scale=features_in**-0.5)
        bias = self.normal(features_out, scale=0.1)
        return self.op("Gemm", x, self.constant(weight), self.constant(bias), name=name, transB=1)

    def quantize(self, x: str, scale: float, zero_point: int = 0, dtype: str = "uint8", name: str | None = None) -> str:
        """Only the QuantizeLinear."""
        return self.op("QuantizeLinear", x, *self._params(scale, zero_point, dtype), name=name)

    def dequantize(
        self, x: str, scale: float, zero_point: int = 0, dtype: str = "uint8", name: str | None = None
    ) -> str:
        """Only the DequantizeLinear."""
        return self.op("DequantizeLinear", x, *self._params(scale, zero_point, dtype), name=name)

    def requantized(self, x: str, scale: float, zero_point: int = 0, dtype: str = "uint8") -> str:
        """QuantizeLinear and DequantizeLinear behind one another."""
        return self.dequantize(self.quantize(x, scale, zero_point, dtype), scale, zero_point, dtype)

    def quantized_constant(
        self, integers: NDArray[np.generic], scale: Any, zero_point: Any = None, *, axis: int = 0
    ) -> str:
        """Integers behind a DequantizeLinear, per tensor or along `axis`."""
        scale = np.asarray(scale, np.float32)
        zeros = np.zeros(scale.shape, integers.dtype) if zero_point is None else zero_point
        params = (self.constant(scale), self.constant(np.asarray(zeros, integers.dtype)))
        return self.op("DequantizeLinear", self.constant(integers), *params, axis=axis if scale.ndim else 1)

    def model(self, *outputs: str) -> ir.Model:
        """The checked model, its shapes inferred."""
        inputs = {value.name: value for value in self._inputs}
        values = [inputs.get(name, onnx.ValueInfoProto(name=name)) for name in outputs]
        graph = helper.make_graph(self._nodes, "test", self._inputs, values, self._constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)])
        model.ir_version = 9
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        onnx.checker.check_model(model)
        return ir.from_proto(model)

    def _params(self, scale: float, zero_point: int, dtype: str) -> tuple[str, str]:
        return self.constant(np.float32(scale)), self.constant(np.array(zero_point, dtype))


def conv_net(seed: int = 0) -> ir.Model:
    """x float32[1,3,16,16] -> y float32[1,10]: convolutions, max pooling, flatten, classifier, softmax."""
    w = Writer(seed)
    x = w.input("x", (1, 3, 16, 16))
    x = w.op("Relu", w.conv(x, 3, 16, 3, pads=1))
    x = w.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = w.op("Relu", w.conv(x, 16, 24, 3, strides=[2, 2]))
    x = w.op("Flatten", x)
    return w.model(w.op("Softmax", w.gemm(x, 24 * 9, 10), name="y"))


def residual_net(seed: int = 0) -> ir.Model:
    """x float32[1,8,12,12] -> y float32[1,10]: two residual blocks, one projected, mean, classifier."""
    w = Writer(seed)
    x = w.op("Relu", w.conv(w.input("x", (1, 8, 12, 12)), 8, 16, 3, pads=1))
    inner = w.op("Relu", w.conv(x, 16, 16, 3, pads=1))
    x = w.op("Relu", w.op("Add", w.conv(inner, 16, 16, 3, pads=1), x))
    inner = w.op("Relu", w.conv(x, 16, 32, 3, pads=1, strides=[2, 2]))
    shortcut = w.conv(x, 16, 32, 1, strides=[2, 2])
    x = w.op("Relu", w.op("Add", w.conv(inner, 32, 32, 3, pads=1), shortcut))
    x = w.op("ReduceMean", x, w.constant(np.array([2, 3])), keepdims=0)
    return w.model(w.gemm(x, 32, 10, name="y"))


def mobile_net(seed: int = 0) -> ir.Model:
    """x float32[1,3,16,16] -> y float32[1,10]: inverted residuals with depthwise convolutions and Relu6."""
    w = Writer(seed)
    six = (w.constant(np.float32(0)), w.constant(np.float32(6)))
    x = w.op("Clip", w.conv(w.input("x", (1, 3, 16, 16)), 3, 8, 3, pads=1, strides=[2, 2]), *six)
    for _ in range(2):
        inner = w.op("Clip", w.conv(x, 8, 24, 1), *six)
        inner = w.op("Clip", w.conv(inner, 24, 24, 3, pads=1, group=24), *six)
        x = w.op("Add", x, w.conv(inner, 24, 8, 1))
    x = w.op("Flatten", w.op("GlobalAveragePool", x))
    return w.model(w.gemm(x, 8, 10, name="y"))


def random_inputs(model: ir.Model, seed: int = 1) -> dict[str, NDArray[np.generic]]:
    """One array for each input: standard normal floats, or uniform integers over the whole type."""
    rng = np.random.default_rng(seed)
    inputs: dict[str, NDArray[np.generic]] = {}
    for value in model.graph.inputs:
        assert value.name is not None and value.shape is not None and value.dtype is not None
        shape, dtype = tuple(int(size) for size in value.shape), value.dtype.numpy()
        if dtype.kind == "f":
            inputs[value.name] = rng.normal(size=shape).astype(dtype)
        elif dtype == np.bool_:
            inputs[value.name] = rng.integers(0, 2, shape).astype(dtype)
        else:
            limits = np.iinfo(dtype)
            inputs[value.name] = rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return inputs


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, model: ir.Model, count: int):
        self._batches = iter([random_inputs(model, seed) for seed in range(count)])

    def get_next(self) -> dict[str, NDArray[np.generic]] | None:
        return next(self._batches, None)


def quantized(model: ir.Model) -> ir.Model:
    """The model with Q/DQ as onnxruntime's tool writes it: int8 weights per channel, uint8 activations."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "quantized.onnx"
        logging.disable(logging.WARNING)  # the tool advises on preprocessing, on the root logger
        try:
            quantize_static(
                ir.to_proto(model),
                path,
                _Batches(model, 4),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        finally:
            logging.disable(logging.NOTSET)
        return ir.from_proto(onnx.load(path))
