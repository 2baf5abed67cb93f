"""What onnx's own code says of a model, without the danger: its C++ aborts on some files, and its reference operators
may take any time. They run in a child process with limits, and what becomes of the child is an error like any other.
"""

from openwork.guarded.computation import compute
from openwork.guarded.inference import infer_node
from openwork.guarded.models import convert_version
from openwork.guarded.process import RefusedError

__all__ = ["RefusedError", "compute", "convert_version", "infer_node"]
