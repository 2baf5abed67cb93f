"""Ways in: files of other tools become an onnx_ir.Model, data files become its inputs.

Torch modules come in through `openwork.frontends.torch`, which is not imported here: reading a file must not
load torch.
"""

from openwork.frontends.data import count_batches, read_batches, read_one
from openwork.frontends.images import ImagePreprocess
from openwork.frontends.onnx import is_torch_file, load_model
from openwork.frontends.tensor_spec import Quantization, TensorSpec, input_specs
from openwork.frontends.weights import replace_weights

__all__ = [
    "ImagePreprocess",
    "Quantization",
    "TensorSpec",
    "count_batches",
    "input_specs",
    "is_torch_file",
    "load_model",
    "read_batches",
    "read_one",
    "replace_weights",
]
