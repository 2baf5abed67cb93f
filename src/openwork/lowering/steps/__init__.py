"""The steps of a Program, by what they do. Each says what it reads (`reads`) and what it means (`compute`)."""

from openwork.lowering.steps.convolution import Conv, FullyConnected
from openwork.lowering.steps.elementwise import (
    Add,
    Binary,
    Cast,
    Clip,
    Dequantize,
    Lookup,
    Quantize,
    Rescale,
    Select,
    Unary,
)
from openwork.lowering.steps.fixed_point import FixedSoftmax
from openwork.lowering.steps.matrix import MatMul
from openwork.lowering.steps.moving import (
    Concat,
    Expand,
    Gather,
    Pad,
    Reshape,
    Slice,
    TakeAlong,
    Transpose,
)
from openwork.lowering.steps.normalizing import IntegerNormalize, Normalize
from openwork.lowering.steps.pooling import AveragePool, MaxPool
from openwork.lowering.steps.reducing import ArgMax, IntegerSoftmax, Mean, QuantizedSoftmax, Reduce, Softmax, TopK
from openwork.lowering.steps.resizing import FixedResampling, FixedResize, GridSample, IntegerResize, Resampling, Resize

Step = (
    Add
    | ArgMax
    | AveragePool
    | Binary
    | Cast
    | Clip
    | Concat
    | Conv
    | Dequantize
    | Expand
    | FixedResize
    | FixedSoftmax
    | FullyConnected
    | Gather
    | GridSample
    | IntegerNormalize
    | IntegerResize
    | IntegerSoftmax
    | Lookup
    | MatMul
    | MaxPool
    | Mean
    | Normalize
    | Pad
    | Quantize
    | QuantizedSoftmax
    | Reduce
    | Rescale
    | Reshape
    | Resize
    | Select
    | Slice
    | Softmax
    | TakeAlong
    | TopK
    | Transpose
    | Unary
)

__all__ = [
    "Add",
    "ArgMax",
    "AveragePool",
    "Binary",
    "Cast",
    "Clip",
    "Concat",
    "Conv",
    "Dequantize",
    "Expand",
    "FixedResampling",
    "FixedResize",
    "FixedSoftmax",
    "FullyConnected",
    "Gather",
    "GridSample",
    "IntegerNormalize",
    "IntegerResize",
    "IntegerSoftmax",
    "Lookup",
    "MatMul",
    "MaxPool",
    "Mean",
    "Normalize",
    "Pad",
    "Quantize",
    "QuantizedSoftmax",
    "Reduce",
    "Resampling",
    "Rescale",
    "Reshape",
    "Resize",
    "Select",
    "Slice",
    "Softmax",
    "Step",
    "TakeAlong",
    "TopK",
    "Transpose",
    "Unary",
]
