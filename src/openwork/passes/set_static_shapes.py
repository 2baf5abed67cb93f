"""Give every graph input a static shape."""

from collections.abc import Mapping, Sequence
from math import prod

import onnx_ir as ir

from openwork.errors import ModelError
from openwork.graph import example_shape, static_shape


def set_static_shapes(model: ir.Model, shapes: Mapping[str, tuple[int, ...]], batch: int) -> bool:
    """Fix the shapes of the graph inputs.

        before: x[N, 3, height, 224]          shapes = {"x": (1, 3, 224, 224)}
        after:  x[1, 3, 224, 224]

    Args:
        shapes: shapes in elements by input name; they replace what the model says.
        batch: the size of a symbolic first dimension; a first dimension that is a number stays. One other than 1 must
            become that of an input.
    Requires: nothing.
    Ensures: inputs are static. Where a shape changed, the shapes of all other values are forgotten, for
        `infer_shapes` to find anew.
    Raises: ModelError: a name or rank in `shapes` does not fit, a symbolic dimension is left, or no input takes
        `batch`.
    """
    inputs = {value.name: value for value in model.graph.inputs if not value.is_initializer()}
    for name in shapes:
        if name not in inputs:
            raise ModelError(f"input {name!r}: the model has none of this name; it has {', '.join(map(repr, inputs))}")
    changed, opened = False, []
    for value in inputs.values():
        shape = _static(value, shapes.get(str(value.name)), batch)
        if shape is not None and shape.is_static():
            changed |= value.shape != shape
            value.shape = shape
        else:
            opened.append(value)
    if opened:
        raise _open(opened)
    if batch != 1 and not any(static_shape(value)[:1] == (batch,) for value in inputs.values()):
        told = ", ".join(f"{value.name} {value.shape}" for value in inputs.values())
        raise ModelError(
            f"batch {batch}: no input leaves its first dimension open, they are {told}; give --set-shape instead"
        )
    if changed:
        for node in model.graph:
            for output in node.outputs:
                output.shape = None
    return changed


def _static(value: ir.Value, wanted: tuple[int, ...] | None, batch: int) -> ir.Shape | None:
    """The shape of an input; None where nobody tells it, and open where nobody tells all sizes."""
    if not isinstance(value.type, ir.TensorType):
        raise ModelError(
            f"input {value.name!r}: its type is {value.type or 'unknown'}, not a tensor; export the model with tensors"
        )
    if wanted is not None:
        if value.shape is not None and len(value.shape) != len(wanted):
            raise ModelError(
                f"input {value.name!r}: shape {wanted} does not fit the model's {value.shape}; "
                "give --set-shape as many dimensions"
            )
        shape = ir.Shape(wanted)
    elif value.shape is None:
        return None
    else:
        first = [batch if not isinstance(size, int) else size for size in value.shape[:1]]
        shape = ir.Shape([*first, *value.shape[1:]])
    sizes = [size for size in shape if isinstance(size, int)]
    if any(size < 1 for size in sizes) or prod(sizes) >= 2**31:
        raise ModelError(
            f"input {value.name!r}: shape {shape} has a size below 1, or 2^31 elements and more; "
            "give sizes of this world with --set-shape"
        )
    return shape


def _open(inputs: Sequence[ir.Value]) -> ModelError:
    """All that is missing: who gave one shape only to be asked for the next would rightly be annoyed."""
    shape = inputs[0].shape
    if shape is None:
        reason = "its shape is unknown"
    else:
        axes = [axis for axis, size in enumerate(shape) if axis and not isinstance(size, int)]
        names = ", ".join(str(shape[axis]) for axis in axes)
        are = "dimension {} is" if len(axes) == 1 else "dimensions {} are"
        reason = f"{are.format(', '.join(map(str, axes)))} symbolic ({names})"
    advice = " ".join(f"--set-shape {example_shape(value)}" for value in inputs)
    return ModelError(f"input {inputs[0].name!r}: {reason}; give {advice} with the sizes that you need")
