"""Mutated model files, each made again by its number: `mutated(1234)`.

A corpus of small files is changed in two ways: as bytes, whatever they mean, and as what they mean: sizes, attributes,
operators, wires, types and versions. Bytes find what breaks readers; meanings find what breaks all that comes after.
"""

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, defs

from tests.frontends import opsets, strange
from tests.frontends.test_fuzz_onnx import CORPUS
from tests.frontends.test_tflite_damage import small_network
from tests.frontends.test_tflite_operators import CASES, build, shapes_and_range
from tests.frontends.tflite_files import File

SIZES = (0, -1, 1, 2, 3, 5, 8, 64, 1000, 2**31 - 1, 2**31, 2**32, 2**60, 2**63 - 1, -2, -3, -(2**63))
REALS = (0.0, -0.0, 1.0, -1.0, 0.3, 1e-45, 1e30, float("inf"), float("-inf"), float("nan"))
TEXTS = (
    *("", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET", "linear", "cubic", "nearest", "reflect", "edge", "wrap"),
    *("constant", "DCR", "CRD", "asymmetric", "align_corners", "half_pixel", "floor", "ceil", "tanh", "border", "\n"),
)
VARINTS = (b"\xff\xff\xff\xff\x07", b"\xff" * 9 + b"\x7f", b"\xff" * 9 + b"\x01", b"\x80" * 9 + b"\x01", b"\xff\x7f")
WORDS = (0, 1, 4, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(number: int) -> tuple[str, bytes]:
    """The suffix and the content of a file."""
    random = Random(number)
    kind = random.randrange(10)
    if kind < 4:
        model = onnx.ModelProto()
        model.CopyFrom(random.choice(_onnx_corpus()))
        for _ in range(random.choice((1, 1, 2, 3))):
            random.choice(MEANINGS)(model, random)
        return ".onnx", model.SerializeToString()
    if kind < 7:
        return ".onnx", _damaged(random, _onnx_contents(), VARINTS)
    if kind < 9:
        words = tuple(word.to_bytes(4, "little") for word in WORDS)
        return ".tflite", _damaged(random, _tflite_contents(), words, align=4)
    return ".tflite", _changed_tflite(random)


# ---- what is changed ----


@cache
def _onnx_corpus() -> Sequence[onnx.ModelProto]:
    models = [onnx.ModelProto.FromString(content) for content in CORPUS.values()]
    models += [opsets.single(name, version) for name in opsets.CASES for version in (13, 20)]
    models += [opsets.single(name, version) for name in list(opsets.CASES)[::4] for version in (7, 9)]
    return [*models, *(model for model in strange.MODELS.values() if model.ByteSize() < 4096)]


@cache
def _onnx_contents() -> Sequence[bytes]:
    return [model.SerializeToString() for model in _onnx_corpus()]


@cache
def _tflite_contents() -> Sequence[bytes]:
    return [small_network(), *(_tflite_file(index).content() for index in range(len(CASES)))]


def _tflite_file(index: int) -> File:
    case = CASES[index]
    dtype = "int8" if "int8" in case.dtypes else case.dtypes[0]
    return build(case, dtype, *_shapes_and_range(index))


@cache
def _shapes_and_range(index: int) -> tuple[Sequence[tuple[int, ...]], tuple[float, float]]:
    return shapes_and_range(CASES[index])


# ---- bytes ----


def _damaged(random: Random, contents: Sequence[bytes], words: Sequence[bytes], align: int = 1) -> bytes:
    content = bytearray(random.choice(contents))
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        place = random.randrange(len(content) + 1) // align * align
        end = place + random.choice((1, 4, 16, 64))
        match random.randrange(8):
            case 0 | 1 | 2:
                content[place : place + 1] = bytes([random.randrange(256)])
            case 3:
                word = random.choice(words)
                content[place : place + random.choice((0, len(word)))] = word
            case 4:
                content[place:place] = random.randbytes(end - place)
            case 5:
                del content[place:end]
            case 6:
                content[place:place] = content[place:end]
            case 7:
                other = random.choice(contents)
                begin = random.randrange(len(other))
                content[place:end] = other[begin : begin + end - place]
        if random.randrange(16) == 0:
            del content[random.randrange(len(content) + 1) :]
    return bytes(content)


# ---- the meaning of ONNX files; each function changes one thing, if there is one ----


def _dims(model: onnx.ModelProto, random: Random) -> None:
    """A size of an input, output or hint, or their number."""
    graph = model.graph
    shape = random.choice([*graph.input, *graph.output, *graph.value_info]).type.tensor_type.shape
    match random.randrange(8):
        case 0:
            shape.dim.add(dim_value=random.choice(SIZES))
        case 1 if shape.dim:
            del shape.dim[random.randrange(len(shape.dim))]
        case 2 if shape.dim:
            random.choice(shape.dim).dim_param = random.choice(("N", "", "y/0", "M"))
        case _ if shape.dim:
            random.choice(shape.dim).dim_value = random.choice(SIZES)


def _type(model: onnx.ModelProto, random: Random) -> None:
    graph = model.graph
    value = random.choice([*graph.input, *graph.output, *graph.value_info])
    match random.randrange(6):
        case 0:
            value.ClearField("type")
        case 1:
            value.type.tensor_type.ClearField("shape")
        case 2:
            value.type.sequence_type.elem_type.tensor_type.elem_type = TensorProto.FLOAT
        case _:
            value.type.tensor_type.elem_type = random.randrange(28)


def _tensor(model: onnx.ModelProto, random: Random) -> None:
    """A constant: its elements, dtype, shape, or whether it is one."""
    tensors = model.graph.initializer
    if not tensors:
        return
    tensor = random.choice(tensors)
    match random.randrange(8):
        case 0:
            tensor.data_type = random.randrange(28)
        case 1 if tensor.dims:
            tensor.dims[random.randrange(len(tensor.dims))] = random.choice(SIZES)
        case 2:
            tensor.dims.insert(random.randrange(len(tensor.dims) + 1), random.choice((0, 1, 1, 1, 2)))
        case 3:
            value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            model.graph.input.append(value)
            if random.randrange(2):
                tensors.remove(tensor)
        case _:
            _array(tensor, random)


def _array(tensor: TensorProto, random: Random) -> None:
    try:
        array = onnx.numpy_helper.to_array(tensor).copy()
    except Exception:  # what an earlier mutation broke
        return
    match random.randrange(5):
        case 0:
            array = array[:0] if array.ndim else array.reshape(1)
        case 1:
            array = array.reshape(-1) if array.ndim != 1 else array.reshape(-1, 1)
        case 2:
            with np.errstate(all="ignore"):
                array = array.astype(random.choice(("f4", "f8", "f2", "i1", "u1", "i4", "i8", "?")))
        case _ if array.size and array.dtype.kind in "iuf":
            number = random.choice(REALS if array.dtype.kind == "f" else SIZES)
            if array.dtype.kind != "f":
                number = int(np.clip(number, np.iinfo(array.dtype).min, np.iinfo(array.dtype).max))
            with np.errstate(all="ignore"):
                array.reshape(-1)[random.randrange(array.size)] = number
    tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))


def _attribute(model: onnx.ModelProto, random: Random) -> None:
    """A number or text of an attribute, or how many there are."""
    attributes = [each for node in model.graph.node for each in node.attribute]
    if not attributes:
        return
    attribute = random.choice(attributes)
    match attribute.type:
        case AttributeProto.INT:
            attribute.i = random.choice(SIZES)
        case AttributeProto.FLOAT:
            attribute.f = random.choice(REALS)
        case AttributeProto.STRING:
            attribute.s = random.choice(TEXTS).encode()
        case AttributeProto.INTS:
            _numbers(attribute.ints, random)


def _numbers(numbers: Any, random: Random) -> None:
    match random.randrange(6):
        case 0:
            numbers.append(random.choice(SIZES))
        case 1 if numbers:
            numbers.pop()
        case 2:
            del numbers[:]
        case _ if numbers:
            numbers[random.randrange(len(numbers))] = random.choice(SIZES)


def _attributes(model: onnx.ModelProto, random: Random) -> None:
    """One that is gone, or one that the operator has and nobody gave."""
    node = random.choice(model.graph.node)
    known = _schemas().get(node.op_type)
    if node.attribute and (known is None or random.randrange(3) == 0):
        del node.attribute[random.randrange(len(node.attribute))]
    elif known is not None and known.attributes:
        name = random.choice(sorted(known.attributes))
        attribute = node.attribute.add(name=name, type=known.attributes[name].type.value)
        attribute.i, attribute.f, attribute.s = random.choice(SIZES), random.choice(REALS), b""
        attribute.ints.extend(random.choice(SIZES) for _ in range(random.randrange(5)))
        for field, kind in (("i", "INT"), ("f", "FLOAT"), ("s", "STRING"), ("ints", "INTS")):
            if AttributeProto.AttributeType.Name(attribute.type) != kind:
                attribute.ClearField(field)


def _operator(model: onnx.ModelProto, random: Random) -> None:
    """Another operator, most often one that takes as many inputs."""
    node = random.choice(model.graph.node)
    schemas, count = _schemas(), len(node.input)
    fitting = [name for name, each in schemas.items() if each.min_input <= count <= each.max_input]
    node.op_type = random.choice(fitting if fitting and random.randrange(4) else list(schemas))
    if random.randrange(4):
        del node.attribute[:]


@cache
def _schemas() -> dict[str, defs.OpSchema]:
    return {each.name: each for each in sorted(defs.get_all_schemas(), key=lambda each: each.name) if not each.domain}


def _wire(model: onnx.ModelProto, random: Random) -> None:
    """What a node reads or makes."""
    graph = model.graph
    node = random.choice(graph.node)
    names = [each.name for each in (*graph.input, *graph.output, *graph.initializer)]
    names += ["", "nowhere", *(name for other in graph.node for name in other.output)]
    ends = node.output if random.randrange(6) == 0 else node.input
    match random.randrange(5):
        case 0:
            ends.append(random.choice(names))
        case 1 if ends:
            del ends[random.randrange(len(ends))]
        case 2 if ends:
            ends.append(random.choice(ends))
        case _ if ends:
            ends[random.randrange(len(ends))] = random.choice(names)


def _node(model: onnx.ModelProto, random: Random) -> None:
    """A node is gone, doubled, moved or of another domain."""
    nodes = model.graph.node
    place = random.randrange(len(nodes))
    match random.randrange(4):
        case 0 if len(nodes) > 1:
            del nodes[place]
        case 1:
            nodes.add().CopyFrom(nodes[place])
        case 2:
            nodes[place].domain = random.choice(("ai.onnx", "ai.onnx.ml", "com.microsoft", "nowhere"))
        case 3:  # what it made is a result, and another takes its place
            model.graph.output.add(name=next(iter(nodes[place].output), ""))


def _version(model: onnx.ModelProto, random: Random) -> None:
    if model.opset_import and random.randrange(3):
        random.choice(model.opset_import).version = random.choice((*range(1, 31), -1, 0, 2**31, 2**63 - 1))
    else:
        model.ir_version = random.choice((*range(16), 2**31, 2**63 - 1, -1))


def _call(model: onnx.ModelProto, random: Random) -> None:
    """The same inside of a subgraph or a function, where there is one."""
    inner = [each.g for node in model.graph.node for each in node.attribute if each.type == AttributeProto.GRAPH]
    if inner:
        graph = random.choice(inner)
        part = onnx.ModelProto(graph=graph)
        random.choice(MEANINGS[:8])(part, random)
        graph.CopyFrom(part.graph)
    elif model.functions:
        function = random.choice(model.functions)
        part = onnx.ModelProto(graph=onnx.GraphProto(node=function.node, input=[onnx.ValueInfoProto(name="a")]))
        random.choice((_attribute, _attributes, _operator, _wire))(part, random)
        function.ClearField("node")
        function.node.extend(part.graph.node)


Meaning = Callable[[onnx.ModelProto, Random], None]
MEANINGS: Sequence[Meaning] = (
    *(_attribute, _attribute, _attributes, _operator, _wire, _dims, _tensor, _tensor),
    *(_type, _node, _version, _call),
)


# ---- and of TFLite files ----


def _changed_tflite(random: Random) -> bytes:
    file = _tflite_file(random.randrange(len(CASES)))
    for _ in range(random.choice((1, 1, 2))):
        tensor, operator = random.choice(file.tensors), random.choice(file.operators)
        match random.randrange(7):
            case 0:
                sizes = [*tensor.shape, 1]
                sizes[random.randrange(len(sizes))] = random.choice((0, -1, 1, 2, 7, 2**31 - 1, -(2**31)))
                tensor.shape = tuple(sizes[: random.choice((-1, len(sizes)))])
            case 1:
                tensor.dtype = random.choice(("float32", "int8", "uint8", "int16", "int32", "int64", "bool"))
            case 2:
                tensor.scale = random.choice(([], [0.0], [-1.0], [float("nan")], [1e38], [0.1] * 5))
            case 3:
                tensor.zero_point = random.choice(([], [2**62], [-129], [1] * 5))
            case 4:
                operator.inputs = _rewired(operator.inputs, len(file.tensors), random)
            case 5:
                operator.outputs = _rewired(operator.outputs, len(file.tensors), random)
            case 6 if operator.options:
                name = random.choice(list(operator.options))
                if isinstance(operator.options[name], int):
                    operator.options = {**operator.options, name: random.choice((0, -1, 1, 2, 3, 9, 100))}
    try:
        return file.content()
    except Exception:  # a number that the file has no room for
        return b""


def _rewired(ends: Sequence[int], count: int, random: Random) -> Sequence[int]:
    changed = [*ends, random.randrange(-1, count)]
    changed[random.randrange(len(changed))] = random.choice((-1, -2, random.randrange(count), count, 2**31 - 1))
    return changed[: random.choice((-1, -1, -2, len(changed)))]
