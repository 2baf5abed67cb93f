"""Torch modules. The only frontend that imports torch."""

import copy
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx_ir as ir
import torch

from openwork.errors import ModelError, one_line
from openwork.frontends.tensors import check_tensors
from openwork.passes import strip_metadata


def from_torch(
    module: torch.nn.Module,
    inputs: Sequence[torch.Tensor],
    *,
    input_names: Sequence[str] = ("x",),
    output_names: Sequence[str] | None = None,
    symbolic_batch: bool = False,
) -> ir.Model:
    """Export a torch module, in evaluation mode, as it is: BatchNormalization and parameter names are kept.

    Args:
        module: not modified; may be on any device.
        inputs: one example tensor for each argument of `forward`; their shapes and dtypes become the graph's.
        input_names: a name for each of `inputs`.
        output_names: names for the outputs; torch's own if None.
        symbolic_batch: leave the first dimension of every input open, for `canonicalise(batch=...)`.
    Returns: the graph, not canonicalised; initializers are called as in `module.state_dict()`, layers as their
        module (`layer1.0.conv1`). It shares no memory with the module, and holds no metadata of the exporter.
    Raises: ModelError: torch cannot export the module, or a weight is NaN or infinite.
    """
    module = copy.deepcopy(module).eval().cpu()
    examples = tuple(example.detach().cpu() for example in inputs)
    shapes = None
    if symbolic_batch:
        # torch.export takes a dimension of size 1 for a constant, so the example needs two images.
        examples = tuple(torch.cat([example, example]) for example in examples)
        shapes = tuple({0: torch.export.Dim.DYNAMIC} for _ in examples)
    model = _exported(
        module,
        type(module).__name__,
        args=examples,
        input_names=list(input_names),
        output_names=None if output_names is None else list(output_names),
        dynamic_shapes=shapes,
    )
    return _imported(model, type(module).__name__)


def from_exported(program: torch.export.ExportedProgram, *, title: str) -> ir.Model:
    """Import what torch.export made, as `from_torch` does a module.

    Args:
        title: what a message calls it: its file name.
    Raises: ModelError: torch cannot write it as ONNX, or a weight is NaN or infinite.
    """
    return _imported(_exported(program, title), title)


def _exported(module: torch.nn.Module | torch.export.ExportedProgram, title: str, **options: Any) -> ir.Model:
    with _quiet():
        try:
            program = torch.onnx.export(module, **options, dynamo=True, optimize=False, verbose=False)
        except torch.onnx.OnnxExporterError as error:
            raise ModelError(
                f"{title}: torch cannot export it ({one_line(error)}); "
                "write the module without what torch.export refuses"
            ) from error
    assert program is not None
    return program.model


def _imported(model: ir.Model, title: str) -> ir.Model:
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        value.const_value = ir.tensor(value.const_value.numpy(), name=value.name)
    _name_layers(model)
    strip_metadata(model)
    check_tensors(model, title)
    return model


def _name_layers(model: ir.Model) -> None:
    """Call each node whose second input is a parameter `<module>.weight` after its module."""
    for node in model.graph:
        weight = node.inputs[1] if len(node.inputs) > 1 else None
        if weight is not None and weight.is_initializer() and weight.name and weight.name.endswith(".weight"):
            node.name = weight.name.removesuffix(".weight")


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks about its own future and about packages that it does not need."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
