"""The one lowered form that every backend eats.

A `Program` is typed buffers, constants and a flat list of typed steps. It says *what* is computed. Layouts,
tiles, offsets and schedules belong to each backend. `interpreter.run` is the meaning of a Program: backends
agree with it bit for bit on integers and within a stated tolerance on floats.

Shapes and layouts are ONNX's: activations [N, C, spatial...], convolution weights [out, in/groups, kernel...],
fully connected weights [out, in]. Every name is a buffer or a constant; names are the tensor names of the ONNX
graph, so that each buffer can be compared with the tensor onnxruntime computes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from math import inf

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Buffer:
    """A typed tensor: shape in elements, dtype as NumPy names it (`float32`, `uint8`, `int8`, ...)."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Bounds:
    """Float results are clamped into [low, high]: Relu is (0, inf), Relu6 is (0, 6), none is (-inf, inf)."""

    low: float = -inf
    high: float = inf


UNBOUNDED = Bounds()


@dataclass(frozen=True, eq=False)
class Float32Scale:
    """Requantization as ONNX Q/DQ means it, in float32 with one rounding, half to even:

        y = clip(rint(float32(accumulator) * scale) + zero_point, low, high)

    scale: float32[1], or float32[channels] for one per output channel; input scale * weight scale / output scale.
    zero_point: of the output.
    low, high: inclusive integer bounds of the output; an activation is folded into them.
    """

    scale: NDArray[np.float32]
    zero_point: int
    low: int
    high: int


# How an int32 accumulator becomes an output: a closed union. Q31 (TFLite) and Shift (power of two) join it later.
Requantize = Float32Scale


@dataclass(frozen=True)
class AddScales:
    """Requantization of an integer addition; float32 throughout, one rounding, half to even:

    y = clip(rint((a - zero_points[0]) * scales[0] + (b - zero_points[1]) * scales[1]) + zero_point, low, high)

    scales: each input's scale / output scale, as float32 values.
    """

    scales: tuple[float, float]
    zero_points: tuple[int, int]
    zero_point: int
    low: int
    high: int


@dataclass(frozen=True)
class Add:
    """output = bounds(inputs[0] + inputs[1]); floats broadcast as NumPy does. Integers carry `requantize`."""

    name: str
    inputs: tuple[str, str]
    output: str
    bounds: Bounds = UNBOUNDED
    requantize: AddScales | None = None


@dataclass(frozen=True, eq=False)
class Conv:
    """Convolution with 1 or 2 spatial dimensions, any stride, padding, dilation, groups.

    Float: output = bounds(conv(input, weight) + bias).
    Integer (`requantize` is set): int32 accumulator = conv(input - input_zero_point, weight) + bias, padded with
    real zeros (that is, input_zero_point), then requantized. Weight is int8, symmetric; bias int32.
    If `residual` is set, the result (already bounded and requantized) becomes residual.inputs[0], and the
    step's output is the output of that Add: the two roundings of the graph are kept.

    pads: (begin..., end...) in elements, as in ONNX.
    """

    name: str
    input: str
    output: str
    weight: str
    bias: str | None
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1
    bounds: Bounds = UNBOUNDED
    input_zero_point: int = 0
    requantize: Requantize | None = None
    residual: Add | None = None


@dataclass(frozen=True, eq=False)
class FullyConnected:
    """output[..., out] = bounds(input[..., in] @ weight[out, in].T + bias); integers as in `Conv`."""

    name: str
    input: str
    output: str
    weight: str
    bias: str | None
    bounds: Bounds = UNBOUNDED
    input_zero_point: int = 0
    requantize: Requantize | None = None


@dataclass(frozen=True)
class MaxPool:
    """Largest element of each window; padding never wins. Integers pass through unchanged."""

    name: str
    input: str
    output: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class AveragePool:
    """Mean of each window. Padding counts as elements only with count_include_pad.

    Integer: y = requantize(float32(sum(input - input_zero_point)) / float32(count)): see `Mean`.
    """

    name: str
    input: str
    output: str
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    count_include_pad: bool = False
    input_zero_point: int = 0
    requantize: Requantize | None = None


@dataclass(frozen=True, eq=False)
class Mean:
    """Mean over `axes` (non-negative); whether they are kept is seen from the output's shape.

    Integer: y = clip(rint(float32(sum(input - input_zero_point)) / float32(count) * scale) + zero_point, low, high).
    """

    name: str
    input: str
    output: str
    axes: tuple[int, ...]
    input_zero_point: int = 0
    requantize: Requantize | None = None


@dataclass(frozen=True)
class Clip:
    """output = bounds(input), float, elementwise."""

    name: str
    input: str
    output: str
    bounds: Bounds


@dataclass(frozen=True, eq=False)
class Rescale:
    """Integer to integer, elementwise: y = requantize(input - input_zero_point). A lone integer Relu is one too."""

    name: str
    input: str
    output: str
    input_zero_point: int
    requantize: Requantize


@dataclass(frozen=True)
class Quantize:
    """output = clip(rint(input / scale) + zero_point) into the range of the output's dtype; float32 arithmetic."""

    name: str
    input: str
    output: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Dequantize:
    """output = float32(input - zero_point) * scale."""

    name: str
    input: str
    output: str
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Softmax:
    """exp(x - max(x)) / sum(exp(x - max(x))) along one non-negative axis, float."""

    name: str
    input: str
    output: str
    axis: int


@dataclass(frozen=True)
class Concat:
    """Inputs behind one another along one non-negative axis; all of one dtype, integers of equal quantization."""

    name: str
    inputs: tuple[str, ...]
    output: str
    axis: int


@dataclass(frozen=True)
class Transpose:
    """Axes permuted: output axis i is input axis perm[i]."""

    name: str
    input: str
    output: str
    perm: tuple[int, ...]


@dataclass(frozen=True)
class Reshape:
    """The same elements in row-major order under another shape (the output buffer's)."""

    name: str
    input: str
    output: str


Step = (
    Conv
    | FullyConnected
    | Add
    | MaxPool
    | AveragePool
    | Mean
    | Clip
    | Rescale
    | Quantize
    | Dequantize
    | Softmax
    | Concat
    | Transpose
    | Reshape
)


def step_inputs(step: Step) -> tuple[str, ...]:
    """Names of the activations a step reads (buffers, or constants where an operand is one); no weights."""
    if isinstance(step, Add | Concat):
        return step.inputs
    if isinstance(step, Conv) and step.residual is not None:
        return (step.input, step.residual.inputs[1])
    return (step.input,)


@dataclass(frozen=True, eq=False)
class Program:
    """A network, lowered: what is computed, in order.

    inputs, outputs: buffer names in the order of the model's own.
    buffers: every activation, inputs and outputs included; each written by one step, except inputs.
    constants: weights and biases, C-contiguous, read-only.
    steps: in an order in which every buffer is written before it is read.
    notes: one line for each quantized layer that computes in float nevertheless, and why.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    buffers: Mapping[str, Buffer]
    constants: Mapping[str, NDArray[np.generic]]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()

    def check(self) -> None:
        """Assert the invariants above; a violation is a bug in lowering, never in the user's model."""
        written = set(self.inputs)
        for step in self.steps:
            for name in step_inputs(step):
                assert name in written or name in self.constants, f"{step.name}: reads {name!r} too early"
            assert step.output in self.buffers, f"{step.name}: output {step.output!r} has no buffer"
            assert step.output not in written, f"{step.name}: {step.output!r} is written twice"
            written.add(step.output)
            for field in fields(step):
                if field.name in ("weight", "bias") and getattr(step, field.name) is not None:
                    assert getattr(step, field.name) in self.constants, f"{step.name}: no constant {field.name}"
        assert set(self.outputs) <= written, "an output is never written"
