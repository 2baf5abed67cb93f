"""How `fold_constants` goes from node to node: onnxscript's pass, with our inference, our budgets and our computing."""

from math import prod

import numpy as np
import onnx_ir as ir
from onnxscript.optimizer._constant_folding import FoldConstantsPass, Replacement

from openwork.graph import constant, operator_of
from openwork.guarded import RefusedError, compute
from openwork.passes.fold_constants import KEPT
from openwork.passes.infer_shapes import MOST_DIMENSIONS, has_known_inputs, infer, name_of
from openwork.passes.settle_pads import settle_pads
from openwork.passes.work import work

# Two runs of these differ.
_RANDOM = ("RandomUniform", "RandomNormal", "RandomUniformLike", "RandomNormalLike", "Multinomial", "Bernoulli")

# Elements that all results together may have beyond four times the model's own constants, so that no ConstantOfShape
# can fill the memory.
_ADDED_ELEMENTS = 1 << 24

# Operations, as `work` counts them, that all of it may take beyond 64 for each element of the model's own constants.
_ADDED_WORK = 1 << 30

# Parts that a SplitToSequence is written out in.
_MOST_PARTS = 1 << 12


class Folding(FoldConstantsPass):
    """The pass that `fold_constants` is. Raises: ModelError, RuntimeError: a node is malformed."""

    def __init__(self, model: ir.Model):
        super().__init__(shape_inference=True, input_size_limit=0, output_size_limit=0, should_fold=lambda _: False)
        self._model = model
        elements = sum(_size(value) for value in model.graph.initializers.values())
        self._elements_left = _ADDED_ELEMENTS + 4 * elements
        self._work_left = _ADDED_WORK + 64 * elements

    def _do_inference(self, node: ir.Node) -> None:
        if has_known_inputs(node):
            settle_pads(node)
        try:
            types = infer(node, self._model)
        except RefusedError:
            return  # `infer_shapes` says so, if the node is still there
        for output in node.outputs:
            if output.name in types:
                dtype, shape = types[str(output.name)]
                output.type = dtype or output.type
                if output.shape is None or (shape is not None and shape.is_static()):
                    output.shape = shape

    def process_node(self, node: ir.Node, is_function: bool) -> Replacement | None:
        if operator_of(node) == "SplitToSequence" and _parts(node) > _MOST_PARTS:
            return None
        replacement: Replacement | None = super().process_node(node, is_function)
        if replacement is None and not is_function and self._is_constant(node) and self._fits(node):
            return self._computed(node)
        return replacement

    def _is_constant(self, node: ir.Node) -> bool:
        """Whether a node gives the same whenever it runs, and is to be computed now."""
        if (
            operator_of(node) in ("Constant", *KEPT, *_RANDOM)
            or _is_copied_out(node)
            or any(
                attribute.type in (ir.AttributeType.GRAPH, ir.AttributeType.GRAPHS)
                for attribute in node.attributes.values()
            )
        ):
            return False
        return all(constant(value) is not None for value in node.inputs if value is not None)

    def _fits(self, node: ir.Node) -> bool:
        """Whether the results and operations of a node are within what is left; its operations are taken from that."""
        elements, operations = _result_size(node), work(node)
        if elements > self._elements_left or operations > self._work_left:
            return False
        self._work_left -= operations
        return True

    def _computed(self, node: ir.Node) -> Replacement | None:
        arrays = [np.asarray(constant(value)) for value in node.inputs if value is not None]
        sized = all(value.shape is not None and value.shape.is_static() for value in node.outputs)
        proto = ir.serde.serialize_node(node)
        try:
            results = compute(
                name_of(node), proto, arrays, self._model.opset_imports, most=self._elements_left, sized=sized
            )
        except RefusedError:
            return None
        if any(not isinstance(each, np.ndarray) or each.ndim > MOST_DIMENSIONS for each in results):
            return None
        self._elements_left -= sum(each.size for each in results)
        made = iter(results)
        return Replacement([_initializer(output, next(made)) if output.name else output for output in node.outputs], [])


def _initializer(output: ir.Value, array: np.ndarray) -> ir.Value:
    tensor = ir.tensor(array, name=output.name)
    value = ir.Value(
        name=output.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape), const_value=tensor
    )
    node = output.producer()
    assert node is not None and isinstance(node.graph, ir.Graph)
    node.graph.register_initializer(value)
    return value


def _is_copied_out(node: ir.Node) -> bool:
    """Whether a node writes a constant output, see `copy_constant_outputs`."""
    return operator_of(node) == "Identity" and node.outputs[0].is_graph_output()


def _parts(node: ir.Node) -> int:
    """At most so many parts a SplitToSequence can have."""
    shape = node.inputs[0].shape if node.inputs and node.inputs[0] is not None else None
    return max((size for size in shape or () if isinstance(size, int)), default=0)


def _result_size(node: ir.Node) -> int:
    """Elements of the results; where ONNX cannot tell, as NonZero's, those of the inputs."""
    return sum(_elements(value, node) for value in node.outputs)


def _elements(value: ir.Value, node: ir.Node) -> int:
    if value.shape is not None and value.shape.is_static():
        return prod(value.shape.numpy())
    return sum(_size(each) for each in node.inputs if each is not None)


def _size(value: ir.Value) -> int:
    return 0 if value.const_value is None else value.const_value.size
