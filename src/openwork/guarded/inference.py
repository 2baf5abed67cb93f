"""Shape inference of one node."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

import onnx

from openwork.guarded.process import RefusedError, ask, told_as

# Bytes of a node that is remembered; those with graphs inside may be of any size.
_SMALL = 1 << 14


def infer_node(
    subject: str,
    node: onnx.NodeProto,
    types: Mapping[str, onnx.TypeProto],
    data: Mapping[str, onnx.TensorProto],
    versions: Mapping[str, int],
) -> dict[str, onnx.TypeProto]:
    """What ONNX's rules say about the outputs of one node, by name; nothing of operators that it does not define.

    Args:
        subject: the node, in front of an error.
        types, data: of its inputs, by name; data of those that are small and constant.
        versions: of the operator sets, by domain.
    Raises: RefusedError: the node contradicts its inputs. ModelError: shape inference dies of it.
    """
    if not 0 < versions.get(node.domain, 0) < 1 << 31:
        return {}
    nameless, inputs, outputs = _nameless(node)
    content = nameless.SerializeToString(deterministic=True)
    with told_as(subject, "shape inference"):
        answer = (_infer if len(content) <= _SMALL else _infer.__wrapped__)(
            (node.op_type, versions[node.domain], node.domain),
            content,
            _serialized((inputs.get(name, name), each) for name, each in types.items()),
            _serialized((inputs.get(name, name), each) for name, each in data.items()),
            tuple(sorted((domain, version) for domain, version in versions.items() if 0 < version < 1 << 31)),
        )
    if isinstance(answer, str):
        raise RefusedError(answer)
    return {outputs[name]: onnx.TypeProto.FromString(given) for name, given in answer.items() if name in outputs}


def _nameless(node: onnx.NodeProto) -> tuple[onnx.NodeProto, dict[str, str], dict[str, str]]:
    """A node under names that equal nodes share; the new name of each input, and the old one of each output.

    Graphs inside may read tensors of any name, so there names stay.
    """
    nameless = onnx.NodeProto()
    nameless.CopyFrom(node)
    for field in ("name", "doc_string", "metadata_props"):
        nameless.ClearField(field)
    if not any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
        numbers = {name: f"i{index}" for index, name in enumerate(node.input) if name}
        nameless.input[:] = [numbers.get(name, "") for name in node.input]
        nameless.output[:] = [f"o{index}" if name else "" for index, name in enumerate(node.output)]
    return (
        nameless,
        dict(zip(node.input, nameless.input, strict=True)),
        dict(zip(nameless.output, node.output, strict=True)),
    )


def _serialized(protos: Iterable[tuple[str, onnx.TypeProto | onnx.TensorProto]]) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, proto.SerializeToString(deterministic=True)) for name, proto in protos)


@lru_cache(maxsize=1 << 14)
def _infer(
    operator: tuple[str, int, str],
    node: bytes,
    types: tuple[tuple[str, bytes], ...],
    data: tuple[tuple[str, bytes], ...],
    versions: tuple[tuple[str, int], ...],
) -> Mapping[str, bytes] | str:
    """The serialized types, or why the node is refused. Most nodes of a deep network are equal, and each is asked of
    several times, so answers are kept."""
    try:
        answer: Mapping[str, bytes] = ask(("infer", operator, node, dict(types), dict(data), dict(versions)))
    except RefusedError as refused:
        return str(refused)
    return answer
