"""Hostile ONNX files: each gives an error of our own or a program, in bounded time and memory."""

import collections
import resource
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from openwork.errors import OpenworkError
from openwork.frontends import load_model
from openwork.lowering import lower
from openwork.passes import canonicalise

SECONDS = 3.0  # of the processor, that one input may take
MEMORY = 1 << 30  # bytes that all inputs together may add
LONGEST = 20_000  # characters of a message

HOSTILE_NAMES = (
    "",
    "x;}",
    "*/",
    "/*",
    "a\nb",
    "a\0b",
    '"',
    "'",
    "\\",
    "??/",
    "%s%n",
    "int",
    "../../etc",
    "\u202e",
    "é" * 99,
)
HOSTILE_SIZES = (0, -1, 1, 2, 2**31 - 1, 2**31, 2**32, 2**60, 2**63 - 1, -(2**63))

opened: set[str] = set()
watching = False


def _watch(event, arguments):
    """Python's own record of what is opened; it cannot be taken away again, only ignored."""
    if watching and event == "pickle.find_class":
        raise AssertionError("a pickle was opened")
    if watching and event == "open" and isinstance(arguments[0], str | bytes):
        opened.add(str(Path(arguments[0] if isinstance(arguments[0], str) else arguments[0].decode()).resolve()))


sys.addaudithook(_watch)


class Attempts:
    """Tries files, and counts them by their outcome."""

    def __init__(self, folder):
        self.folder, self.path = folder, folder / "model.onnx"
        self.counts = collections.Counter()
        self.slowest = 0.0

    def __call__(self, content, *, path=None):
        """Whether a program came out. Raises what is no error of ours."""
        path = path or self.path
        path.write_bytes(content)
        begin = time.process_time()
        try:
            model = load_model(path)
            canonicalise(model)
            lower(model)
        except OpenworkError as error:
            text = str(error)
            assert "\n" not in text and len(text) < LONGEST, text[:500]
            self.counts["refused"] += 1
            return False
        else:
            self.counts["taken"] += 1
            return True
        finally:
            seconds = time.process_time() - begin
            self.slowest = max(self.slowest, seconds)
            assert seconds < SECONDS, f"{seconds:.1f} s"

    @property
    def total(self):
        return self.counts.total()


@pytest.fixture
def attempt(tmp_path, record_property, capsys):
    """Attempts in a folder of their own, with memory limited and files watched."""
    global watching
    attempts = Attempts(tmp_path)
    attempts(CORPUS["float"])  # what is imported late is imported now
    attempts(CORPUS["old"])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, limits[1]))
    opened.clear()
    watching = True
    try:
        yield attempts
    finally:
        watching = False
        resource.setrlimit(resource.RLIMIT_AS, limits)
    record_property("inputs", dict(attempts.counts))
    with capsys.disabled():
        print(f" [{attempts.total} inputs, {attempts.counts['taken']} taken, slowest {attempts.slowest:.2f} s]", end="")
    outside = {name for name in opened if not _allowed(Path(name), tmp_path)}
    assert not outside, outside


def _allowed(file, folder):
    """In the model's folder, or a module that Python itself loads."""
    return file.is_relative_to(folder / "inside" if (folder / "inside").exists() else folder) or file.suffix in (
        ".py",
        ".pyc",
    )


def _tensor(name, array):
    return onnx.numpy_helper.from_array(np.asarray(array), name)


def _model(nodes, tensors, *, opset=20, shape=("N", 2, 6, 6), output=(1, 3), **fields):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, **fields)


def _float_network(opset=20):
    random = np.random.default_rng(0)
    axes = [] if opset >= 18 else [2, 3]
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1] * 4, name="conv"),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Add", ["p", "p"], ["a"]),
        helper.make_node("ReduceMean", ["a", "axes"], ["m"], keepdims=0)
        if opset >= 18
        else helper.make_node("ReduceMean", ["a"], ["m"], axes=axes, keepdims=0),
        helper.make_node("Gemm", ["m", "g", "h"], ["l"], transB=1),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    arrays = {"w": (3, 2, 3, 3), "b": (3,), "g": (3, 3), "h": (3,)}
    tensors = [_tensor(name, random.normal(size=shape).astype("f")) for name, shape in arrays.items()]
    return _model(nodes, [*tensors, *([_tensor("axes", np.int64([2, 3]))] if opset >= 18 else [])], opset=opset)


def _quantized_network():
    constants = {"s": np.float32(0.1), "z": np.uint8(3), "v": np.ones((3, 2, 1, 1), np.int8), "k": np.int8([0] * 3)}
    constants |= {"t": np.float32([0.1, 0.2, 0.3]), "shape": np.int64([1, -1])}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("DequantizeLinear", ["v", "t", "k"], ["w"], axis=0),
        helper.make_node("Conv", ["d", "w"], ["c"]),
        helper.make_node("QuantizeLinear", ["c", "s", "z"], ["e"]),
        helper.make_node("QLinearConv", ["e", "s", "z", "u", "s", "o", "s", "z"], ["f"]),
        helper.make_node("DequantizeLinear", ["f", "s", "z"], ["i"]),
        helper.make_node("Reshape", ["i", "shape"], ["y"]),
    ]
    constants |= {"u": np.ones((3, 3, 1, 1), np.int8), "o": np.int8(0)}
    return _model(nodes, [_tensor(name, array) for name, array in constants.items()], output=("N", "M"))


def _shape_network():
    """Shapes that are computed, a branch and a function."""
    flat = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["t"])], "then", [], [helper.make_tensor_value_info("t", 1, [1, 2, 6, 6])]
    )
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Gather", ["s", "one"], ["n"], axis=0),
        helper.make_node("Concat", ["n", "rest"], ["new"], axis=0),
        helper.make_node("If", ["yes"], ["b"], then_branch=flat, else_branch=flat),
        helper.make_node("Reshape", ["b", "new"], ["r"]),
        helper.make_node("Expand", ["half", "new2"], ["k"]),
        helper.make_node("twice", ["r"], ["d"], domain="local"),
        helper.make_node("Add", ["d", "k"], ["y"]),
    ]
    constants = {"one": np.int64([1]), "rest": np.int64([-1]), "yes": np.bool_(True), "half": np.float32(0.5)}
    tensors = [_tensor(name, array) for name, array in {**constants, "new2": np.int64([2, 36])}.items()]
    opset = helper.make_opsetid("", 20)
    twice = helper.make_function("local", "twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [opset])
    model = _model(nodes, tensors, output=(2, 36), functions=[twice])
    model.opset_import.add(domain="local", version=1)
    return model


CORPUS = {
    "float": _float_network().SerializeToString(),
    "old": _float_network(opset=9).SerializeToString(),
    "quantized": _quantized_network().SerializeToString(),
    "shapes": _shape_network().SerializeToString(),
}


def test_the_corpus_is_sound(attempt):
    assert all(attempt(content) for content in CORPUS.values())


def test_every_64th_truncation(attempt):
    for content in CORPUS.values():
        for length in range(0, len(content), 64):
            attempt(content[:length])
    assert attempt.total >= 40


def _parsed(name):
    return onnx.ModelProto.FromString(CORPUS[name])


def _numbers(model):
    """Every size that can be set: a function that sets it."""
    graph = model.graph
    for value in (*graph.input, *graph.output):
        for dim in value.type.tensor_type.shape.dim:
            yield lambda number, dim=dim: setattr(dim, "dim_value", number)
    for tensor in graph.initializer:
        for axis in range(len(tensor.dims)):
            yield lambda number, tensor=tensor, axis=axis: tensor.dims.__setitem__(axis, number)
        if tensor.data_type == TensorProto.INT64:
            for place in range(len(tensor.raw_data) // 8):
                yield lambda number, tensor=tensor, place=place: _set_number(tensor, place, number)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.INT:
                yield lambda number, attribute=attribute: setattr(attribute, "i", number)
            for place in range(len(attribute.ints)):
                yield lambda number, attribute=attribute, place=place: attribute.ints.__setitem__(place, number)


def _set_number(tensor, place, number):
    numbers = np.frombuffer(tensor.raw_data, np.int64).copy()
    numbers[place] = number
    tensor.raw_data = numbers.tobytes()


@pytest.mark.parametrize("name", CORPUS)
def test_sizes_that_overflow(name, attempt):
    for index in range(len(list(_numbers(_parsed(name))))):
        for number in HOSTILE_SIZES:
            model = _parsed(name)
            list(_numbers(model))[index](number)
            attempt(model.SerializeToString())
    assert attempt.total >= 150


def test_operators_that_make_much_of_little(attempt):
    """Constants of a few bytes that would fill the memory when computed."""
    dims = {
        "vast": [2**40], "product": [2**32, 2**32], "wrapping": [2**33, 2**31], "row": [2**31 - 1], "large": [2**27],
        "deep": [2**9] * 3, "negative": [-1], "none": [0, 2**62],
    }  # fmt: skip
    bombs = []
    for name, shape in dims.items():
        sized = [("shape", np.int64(shape)), ("one", np.float32([1]))]
        bombs += [(f"{name} {node.op_type}", [node], sized) for node in (
            helper.make_node("ConstantOfShape", ["shape"], ["k"]),
            helper.make_node("Expand", ["one", "shape"], ["k"]),
            helper.make_node("Tile", ["one", "shape"], ["k"]),
            helper.make_node("Reshape", ["one", "shape"], ["k"]),
            helper.make_node("RandomNormal", [], ["k"], shape=shape),
        )]  # fmt: skip
    ends = [("zero", np.int64(0)), ("end", np.int64(2**40)), ("by", np.int64(1)), ("pads", np.int64([0, 2**40]))]
    ends += [
        ("one", np.float32([1])),
        ("scales", np.float32([1e12])),
        ("none", np.float32([])),
        ("depth", np.int64(2**40)),
    ]
    ends += [("ends", np.int64([2**40])), ("pair", np.float32([0, 1])), ("index", np.int64([1]))]
    bombs += [(node.op_type, [node], ends) for node in (
        helper.make_node("Range", ["zero", "end", "by"], ["k"]),
        helper.make_node("Pad", ["one", "pads"], ["k"]),
        helper.make_node("Resize", ["one", "", "scales"], ["k"]),
        helper.make_node("Resize", ["one", "", "", "ends"], ["k"]),
        helper.make_node("OneHot", ["index", "depth", "pair"], ["k"]),
    )]  # fmt: skip
    many = [helper.make_node("ConstantOfShape", ["shape"], [f"k{index}"]) for index in range(40)]
    for nodes in (many, [*many, helper.make_node("Sum", [f"k{index}" for index in range(40)], ["k"])]):
        bombs.append(("many", nodes, [("shape", np.int64([2**24]))]))
    doubled = [helper.make_node("Concat", [f"k{i}", f"k{i}"], [f"k{i + 1}"], axis=0) for i in range(40)]
    bombs.append(("doubled", doubled, [("k0", np.ones(2, "f"))]))
    for _, nodes, constants in bombs:
        last = nodes[-1].output[0]
        nodes = [*nodes, helper.make_node("Shape", [last], ["s"]), helper.make_node("Cast", ["s"], ["t"], to=1)]
        nodes += [helper.make_node("ReduceSum", ["t"], ["u"]), helper.make_node("Add", ["x", "u"], ["y"])]
        tensors = [_tensor(key, array) for key, array in constants]
        attempt(_model(nodes, tensors, output=("a", "b", "c", "d")).SerializeToString())
        nodes[-4:] = [helper.make_node("Add", ["x", last], ["y"])]
        attempt(_model(nodes, tensors, output=("a", "b", "c", "d")).SerializeToString())
    assert attempt.total >= 90


@pytest.mark.parametrize("name", CORPUS)
def test_names(name, attempt):
    """Of nodes, tensors, graphs, operators, domains, attributes and dimensions."""
    for hostile in (*HOSTILE_NAMES, "a" * 1_000_000):
        for where in range(8):
            model = _parsed(name)
            graph, node = model.graph, model.graph.node[0]
            match where:
                case 0:
                    for index, each in enumerate(graph.node):
                        each.name = hostile + str(index) if hostile else ""
                case 1:
                    _rename(graph, "x", hostile)
                case 2:
                    _rename(graph, "y", hostile)
                case 3:
                    _rename(graph, node.output[0], hostile)
                case 4:
                    graph.name = hostile
                case 5:
                    node.op_type = hostile
                case 6:
                    node.domain = hostile
                case 7:
                    graph.input[0].type.tensor_type.shape.dim[0].dim_param = hostile
                    for attribute in node.attribute:
                        attribute.name = hostile
            attempt(model.SerializeToString())
    assert attempt.total >= 120


def _rename(graph, old, new):
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = new if value.name == old else value.name
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]


def test_a_name_of_ten_megabytes(attempt):
    for where in ("name", "doc_string", "producer_name"):
        model = _parsed("float")
        setattr(model.graph.node[0] if where == "name" else model, where, "a" * 10_000_000)
        attempt(model.SerializeToString())
    model = _parsed("float")
    _rename(model.graph, "c", "a" * 10_000_000)
    attempt(model.SerializeToString())


def test_cycles(attempt):
    loops = [
        [("Relu", "x", "y"), ("Relu", "a", "a")],
        [("Add", "x,b", "a"), ("Relu", "a", "b"), ("Relu", "b", "y")],
        [("Relu", "y", "y")],
        [("Relu", "x", "x")],
        [("Relu", "x", "y"), ("Relu", "x", "y")],
        [("Add", "x,missing", "y")],
    ]
    for loop in loops:
        nodes = [helper.make_node(op, inputs.split(","), outputs.split(",")) for op, inputs, outputs in loop]
        assert not attempt(_model(nodes, [], output=("a", "b", "c", "d")).SerializeToString())
    opset = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]
    for calls in ({"f": "f"}, {"f": "g", "g": "f"}, {f"f{i}": f"f{i + 1}" for i in range(300)}):
        functions = [
            helper.make_function(
                "local", name, ["a"], ["b"], [helper.make_node(to, ["a"], ["b"], domain="local")], opset
            )
            for name, to in calls.items()
        ]
        nodes = [helper.make_node(next(iter(calls)), ["x"], ["y"], domain="local")]
        model = _model(nodes, [], output=("a", "b", "c", "d"), functions=functions)
        model.opset_import.add(domain="local", version=1)
        assert not attempt(model.SerializeToString())


def test_functions_that_call_each_other_twice(attempt):
    """A few kilobytes that are 2^30 nodes when written out."""
    opset = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]
    functions = []
    for index in range(30):
        call = {"op_type": f"f{index + 1}", "domain": "local"} if index < 29 else {"op_type": "Relu", "domain": ""}
        nodes = [
            helper.make_node(inputs=["a"], outputs=["t"], **call),
            helper.make_node(inputs=["t"], outputs=["b"], **call),
        ]
        functions.append(helper.make_function("local", f"f{index}", ["a"], ["b"], nodes, opset))
    nodes = [helper.make_node("f0", ["x"], ["y"], domain="local")]
    model = _model(nodes, [], output=("a", "b", "c", "d"), functions=functions)
    model.opset_import.add(domain="local", version=1)
    assert not attempt(model.SerializeToString())


def _field(number, content):
    """A part of a message, as protobuf writes it; its own library refuses to build deep ones."""
    length, size = len(content), bytearray([number << 3 | 2])
    while True:
        size.append(length & 127 | (128 if length > 127 else 0))
        length >>= 7
        if not length:
            return bytes(size) + content


@pytest.mark.parametrize("opset", [9, 12, 20])
def test_nested_branches(opset, attempt):
    """Each holds the next in one of its branches, or, eight deep, in both."""
    shape = ["a", "b", "c", "d"]

    def branch(name, node):
        output = helper.make_tensor_value_info(name, 1, shape)
        return _field(1, node) + helper.make_graph([], "g", [], [output]).SerializeToString()

    def decide(name, then, other):
        node = helper.make_node("If", ["yes"], [name]).SerializeToString()
        for key, graph in (("then_branch", then), ("else_branch", other)):
            attribute = onnx.AttributeProto(name=key, type=onnx.AttributeProto.GRAPH).SerializeToString()
            node += _field(5, attribute + _field(6, graph))
        return node

    plain = branch("t", helper.make_node("Relu", ["x"], ["t"]).SerializeToString())
    constant = _model([], [_tensor("yes", np.bool_(True))], opset=opset, output=shape)
    computed = _model([helper.make_node("Cast", ["x"], ["yes"], to=TensorProto.BOOL)], [], opset=opset, output=shape)
    for depth, other in [(depth, False) for depth in (1, 2, 4, 8, 16, 24, 30, 40, 64, 100, 1000)] + [(8, True)]:
        inner = plain
        for level in range(depth):
            inner = branch(f"o{level}", decide(f"o{level}", inner, inner if other else plain))
        for model in (constant, computed):
            graph = model.graph.SerializeToString() + _field(1, decide("y", inner, plain))
            rest = onnx.ModelProto.FromString(model.SerializeToString())
            rest.ClearField("graph")
            attempt(rest.SerializeToString() + _field(7, graph))
    assert attempt.total >= 24


class TestExternalData:
    """Tensors in other files: nothing outside the model's folder is opened."""

    PLACES = ("initializer", "constant", "sparse values", "sparse indices", "subgraph", "function")

    def model(self, place, location, **info):
        tensor = _tensor("k", np.float32([1, 2, 3, 4]))
        if place == "sparse indices":
            tensor = _tensor("k", np.int64([0, 1, 2, 3]))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **info}.items():
            tensor.external_data.add(key=key, value=str(value))
        constant = helper.make_node("Constant", [], ["k"], value=tensor)
        add = helper.make_node("Add", ["x", "k"], ["y"])
        tensors, nodes, functions = [], [add], []
        match place:
            case "initializer":
                tensors = [tensor]
            case "constant":
                nodes = [constant, add]
            case "sparse values" | "sparse indices":
                values, indices = _tensor("k", np.ones(4, "f")), _tensor("i", np.int64([0, 1, 2, 3]))
                values, indices = (tensor, indices) if place == "sparse values" else (values, tensor)
                sparse = onnx.SparseTensorProto(values=values, indices=indices, dims=[4])
                nodes = [helper.make_node("Constant", [], ["k"], sparse_value=sparse), add]
            case "subgraph":
                output = helper.make_tensor_value_info("k", 1, [4])
                graph = helper.make_graph([constant], "g", [], [output])
                nodes = [helper.make_node("If", ["yes"], ["m"], then_branch=graph, else_branch=graph)]
                nodes, tensors = [*nodes, helper.make_node("Add", ["x", "m"], ["y"])], [_tensor("yes", np.bool_(True))]
            case "function":
                body = [constant, helper.make_node("Add", ["a", "k"], ["b"])]
                functions = [helper.make_function("local", "f", ["a"], ["b"], body, [helper.make_opsetid("", 20)])]
                nodes = [helper.make_node("f", ["x"], ["y"], domain="local")]
        model = _model(nodes, tensors, shape=(1, 4), output=(1, 4), functions=functions)
        model.opset_import.add(domain="local", version=1)
        return model.SerializeToString()

    @pytest.fixture
    def folder(self, tmp_path):
        """`inside` holds the model and its data; everything else must stay closed."""
        inside = tmp_path / "inside"
        (inside / "sub").mkdir(parents=True)
        for file in (inside / "k.bin", inside / "sub" / "k.bin", tmp_path / "secret", tmp_path / "insider"):
            file.write_bytes(np.arange(16, dtype="f").tobytes())
        (inside / "link").symlink_to(tmp_path / "secret")
        (inside / "linked").symlink_to(tmp_path)
        (inside / "chain").symlink_to(inside / "link")
        (inside / "loop").symlink_to(inside / "loop")
        (inside / "model.onnx").touch()
        return inside

    @pytest.mark.parametrize("place", PLACES)
    def test_places(self, place, folder, attempt):
        path = folder / "model.onnx"
        outside = (
            "../secret",
            "{}/secret",
            "sub/../../secret",
            "link",
            "linked/secret",
            "chain",
            "loop",
            "/etc/passwd",
        )
        outside += (
            "../insider",
            "/dev/zero",
            "/proc/self/environ",
            "",
            ".",
            "sub",
            "..",
            "k.bin\0",
            "k" * 5000,
            "nothing",
        )
        for location in outside:
            assert not attempt(self.model(place, location.format(folder.parent)), path=path), location
        for offset in (-1, 2**60, 2**63, -(2**63), 2**64, 61, "x", "1e3", "0x10"):
            assert not attempt(self.model(place, "k.bin", offset=offset), path=path), offset
        for length in (-1, 0, 2**60, 2**63, 17, "x"):
            assert not attempt(self.model(place, "k.bin", length=length), path=path), length
        assert attempt.total >= 30

    @pytest.mark.parametrize("place", [place for place in PLACES if not place.startswith("sparse")])
    def test_inside(self, place, folder, attempt):
        for location, info in (("k.bin", {"offset": 4}), ("sub/k.bin", {"length": 16}), ("./sub/../k.bin", {})):
            attempt(self.model(place, location, **info), path=folder / "model.onnx")
            assert str((folder / location).resolve()) in opened

    def test_many_tensors_on_the_same_bytes(self, folder, attempt):
        (folder / "k.bin").write_bytes(bytes(1 << 20))
        model = _parsed("float")
        for index in range(2000):
            tensor = model.graph.initializer.add(name=f"k{index}", dims=[1 << 18], data_type=1, data_location=1)
            tensor.external_data.add(key="location", value="k.bin")
        assert not attempt(model.SerializeToString(), path=folder / "model.onnx")


@pytest.mark.parametrize(
    "equation", ["bij, bjk\x05-> bik", "bij, bjk -> bik", "\0bij,bjk->bik", "b.ij,bjk->bik", "....", "1"]
)
def test_equations(equation, attempt):
    """On some of these ONNX's shape inference never ends."""
    nodes = [helper.make_node("Einsum", ["x", "x"], ["y"], equation=equation)]
    attempt(_model(nodes, [], shape=(5, 3, 3), output=(5, 3, 3)).SerializeToString())
    assert attempt.counts["taken"] == 2 + (equation == "bij, bjk -> bik")
