"""Small float networks to quantize."""

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from openwork.passes import canonicalise


def network(text: str, *, opset: int = 20, **weights: NDArray[np.generic]) -> ir.Model:
    """A canonical model from ONNX's textual form `(inputs) => (outputs) { nodes }` and its weights."""
    proto = onnx.parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]> network {text}')
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    model = ir.from_proto(proto)
    canonicalise(model)
    return model


def residual_network(*, density: float = 1.0, seed: int = 0) -> ir.Model:
    """Convolutions, a residual add, pools and a fully connected layer, from [1, 3, 16, 16] to [1, 10]."""
    rng = np.random.default_rng(seed)

    def weight(*shape: int) -> NDArray[np.float32]:
        values = rng.standard_normal(shape) / np.sqrt(density * np.prod(shape[1:]))
        return (values * (rng.random(shape) < density)).astype(np.float32)

    return network(
        """(float[1,3,16,16] image) => (float[1,10] scores) {
            stem = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(image, w0, b0)
            stem_relu = Relu(stem)
            pooled = MaxPool<kernel_shape=[2,2], strides=[2,2]>(stem_relu)
            left = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(pooled, w1, b1)
            left_relu = Relu(left)
            right = Conv<kernel_shape=[3,3], pads=[1,1,1,1]>(left_relu, w2, b2)
            sum = Add(right, pooled)
            sum_relu = Relu(sum)
            mean = GlobalAveragePool(sum_relu)
            flat = Flatten(mean)
            scores = Gemm<transB=1>(flat, w3, b3)
        }""",
        w0=weight(16, 3, 3, 3),
        b0=weight(16),
        w1=weight(16, 16, 3, 3),
        b1=weight(16),
        w2=weight(16, 16, 3, 3),
        b2=weight(16),
        w3=weight(10, 16),
        b3=weight(10),
    )


def batches(model: ir.Model, count: int, *, seed: int = 0) -> list[dict[str, NDArray[np.float32]]]:
    """Normally distributed inputs."""
    rng = np.random.default_rng(seed)
    shapes = {str(value.name): [int(d) for d in value.shape or ()] for value in model.graph.inputs}
    return [
        {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()} for _ in range(count)
    ]
