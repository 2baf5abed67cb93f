"""What one node computes, by onnx's reference operators: here, or in the child."""

import onnx
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator


def compute_serialized(node: bytes, inputs: list[bytes], versions: dict[str, int], most: int) -> list[bytes]:
    """`compute_here` on serialized messages. Raises: ValueError: the results have more elements than `most`."""
    arrays = [onnx.numpy_helper.to_array(onnx.TensorProto.FromString(each)) for each in inputs]
    results = compute_here(onnx.NodeProto.FromString(node), arrays, versions)
    if sum(each.size for each in results) > most:
        raise ValueError(f"its results have more than {most} elements")
    return [onnx.numpy_helper.from_array(each).SerializeToString() for each in results]


def compute_here(node: onnx.NodeProto, arrays: list[NDArray], versions: dict[str, int]) -> list[NDArray]:
    """The outputs of a node that have names. arrays: of its inputs that have names."""
    inputs, outputs = ([name for name in names if name] for names in (node.input, node.output))
    graph = onnx.GraphProto(name="node", node=[node])
    graph.input.extend(onnx.ValueInfoProto(name=name) for name in dict.fromkeys(inputs))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    sets = [onnx.helper.make_opsetid(domain, version) for domain, version in versions.items()]
    evaluator = ReferenceEvaluator(onnx.helper.make_model(graph, opset_imports=sets))
    results = evaluator.run(None, dict(zip(inputs, arrays, strict=True)))
    return list(results)
