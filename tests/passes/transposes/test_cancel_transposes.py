import math
import time
from itertools import permutations

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from openwork.graph import evaluate, static_shape
from openwork.passes import cancel_transposes, canonicalise, infer_shapes
from tests.graphs import graph, operators, to_bytes

TO_NCHW, TO_NHWC = "Transpose<perm=[0,3,1,2]>", "Transpose<perm=[0,2,3,1]>"
RANDOM = np.random.default_rng(0)


def rewritten(text, **constants):
    """The model after the pass, whose outputs are as before, and are called as before."""
    model = graph(text, **constants)
    infer_shapes(model)
    before = model.clone()
    cancel_transposes(model)
    check_equal(before, model)
    return model


def check_equal(before, after):
    inputs = {
        value.name: RANDOM.normal(size=value.shape.numpy()).astype(value.dtype.numpy()) for value in before.graph.inputs
    }
    expected, actual = evaluate(before, inputs), evaluate(after, inputs)
    assert [*actual] == [*expected]
    for name, array in expected.items():
        np.testing.assert_allclose(actual[name], array, rtol=1e-5, atol=1e-5)
    for node in after.graph:
        for value in node.outputs:
            assert value.shape is not None and value.dtype is not None
    again = after.clone()
    infer_shapes(again)
    assert [shapes(node) for node in again.graph] == [shapes(node) for node in after.graph]


def shapes(node):
    return [value.shape.numpy() for value in node.outputs]


def transposes(model):
    return operators(model).count("Transpose")


def test_a_pair_beside_one_another():
    model = rewritten(
        f"(float[1,2,3,4] x) => (float[1,4,2,3] y) {{ a = Relu(x) b = {TO_NCHW}(a) c = {TO_NHWC}(b) y = {TO_NCHW}(c) }}"
    )
    assert operators(model) == ["Relu", "Transpose"]


def test_across_elementwise_operators_and_quantization():
    model = rewritten(
        f"""(float[1,2,3,4] x) => (float[1,2,3,4] y) {{
            a = Relu(x) b = {TO_NCHW}(a) c = QuantizeLinear(b, s, z) d = DequantizeLinear(c, s, z) e = Sigmoid(d)
            f = {TO_NHWC}(e) y = Relu(f) }}""",
        s=np.float32(0.1),
        z=np.int8(3),
    )
    assert operators(model) == ["Relu", "QuantizeLinear", "DequantizeLinear", "Sigmoid", "Relu"]


def test_one_scale_per_channel_follows():
    model = rewritten(
        f"""(float[1,2,3,4] x) => (float[1,2,3,4] y) {{
            a = Relu(x) b = {TO_NCHW}(a) c = QuantizeLinear<axis=1>(b, s, z) d = DequantizeLinear<axis=1>(c, s, z)
            e = {TO_NHWC}(d) y = Relu(e) }}""",
        s=np.float32([0.1, 0.2, 0.3, 0.4]),
        z=np.int8([0, 1, 2, 3]),
    )
    assert transposes(model) == 0
    assert [node.attributes.get_int("axis") for node in model.graph if "Quantize" in node.op_type] == [3]


@pytest.mark.parametrize(
    "operator",
    [
        "Add(b, c1)",
        "Mul(c3, b)",
        "Sub(b, scalar)",
        "PRelu(b, c3)",
        "Concat<axis=1>(b, b)",
        "Concat<axis=-1>(b, full)",
        "Pad(b, pads)",
        'Pad<mode="edge">(b, pads)',
        "Slice(b, starts, ends)",
        "Slice(b, starts, ends, axes)",
        "ReduceMean(b, axes)",
        "ReduceMax(b)",
        "Softmax(b)",
        "Softmax<axis=1>(b)",
        'Resize<mode="nearest">(b, , scales)',
        'Resize<mode="linear">(b, , , sizes)',
        "Clip(b, scalar)",
        "Where(mask, b, c3)",
        "Cast<to=1>(b)",
    ],
)
def test_operators_that_follow(operator):
    model = rewritten(
        f"""(float[1,4,6,3] x) => (float[N,A,B,C] y) {{
            a = Relu(x) b = {TO_NCHW}(a) m = {operator} f = {TO_NHWC}(m) y = Relu(f) }}""",
        c1=np.float32([1, 2, 3, 4, 5, 6]),
        c3=RANDOM.normal(size=(3, 1, 1)).astype("f"),
        full=RANDOM.normal(size=(1, 3, 4, 6)).astype("f"),
        mask=RANDOM.normal(size=(4, 6)) > 0,
        scalar=np.float32(0.5),
        pads=np.int64([0, 0, 1, 2, 0, 0, 0, 1]),
        starts=np.int64([0, 1]),
        ends=np.int64([1, 3]),
        axes=np.int64([-1, 2]),
        scales=np.float32([1, 1, 2, 1.5]),
        sizes=np.int64([1, 3, 7, 5]),
    )
    assert transposes(model) == 0


def test_a_split_follows_with_all_its_parts():
    model = rewritten(
        f"""(float[1,4,6,3] x) => (float[1,4,6,1] y, float[1,4,6,2] z) {{
            a = Relu(x) b = {TO_NCHW}(a) p, q = Split<axis=1>(b, sizes) r = {TO_NHWC}(p) s = {TO_NHWC}(q)
            y = Relu(r) z = Relu(s) }}""",
        sizes=np.int64([1, 2]),
    )
    assert transposes(model) == 0


def test_a_reduction_that_drops_axes_ends_a_region():
    model = rewritten(
        f"""(float[1,3,4,6] x) => (float[1,3] y) {{
            a = Relu(x) b = {TO_NHWC}(a) m = ReduceMean<keepdims=0>(b, axes) y = Relu(m) }}""",
        axes=np.int64([1, 2]),
    )
    assert operators(model) == ["Relu", "ReduceMean", "Relu"]
    kept = rewritten(
        f"""(float[1,3,4,6] x) => (float[1,4,3] y) {{
            a = Relu(x) b = {TO_NHWC}(a) m = ReduceMean<keepdims=0>(b, axes) y = Relu(m) }}""",
        axes=np.int64([2]),
    )
    assert transposes(kept) == 1


def test_axes_of_size_one_are_reshaped():
    model = rewritten(
        f"(float[1,8,1,1] x) => (float[1,8] y) {{ a = Relu(x) b = {TO_NHWC}(a) y = Reshape(b, s) }}",
        s=np.int64([1, -1]),
    )
    assert operators(model) == ["Relu", "Reshape"]
    model = rewritten(
        f"(float[1,8] x) => (float[1,8,1,1] y) {{ a = Reshape(x, s) b = {TO_NCHW}(a) y = Relu(b) }}",
        s=np.int64([1, 1, 1, 8]),
    )
    assert operators(model) == ["Reshape", "Relu"]


def test_transposes_go_to_the_integers():
    """Each by itself, where the region as a whole has nothing to gain."""
    model = rewritten(
        f"""(float[1,2,3,4] x) => (float[1,4,2,3] y) {{
            a = Relu(x) b = QuantizeLinear(a, s, z) c = DequantizeLinear(b, s, z) d = {TO_NCHW}(c) y = Softmax(d) }}""",
        s=np.float32(0.1),
        z=np.int8(3),
    )
    assert operators(model) == ["Relu", "QuantizeLinear", "Transpose", "DequantizeLinear", "Softmax"]


def test_a_residual_block_in_nhwc():
    """The input's Transpose is the only one left: both branches and the next layer share it."""
    model = rewritten(
        f"""(float[1,8,8,4] x) => (float[1,1,1,4] y) {{
            a = {TO_NCHW}(x) b = Conv<pads=[1,1,1,1]>(a, w) c = {TO_NHWC}(b)
            d = {TO_NCHW}(c) e = Conv<pads=[1,1,1,1]>(d, w) f = {TO_NHWC}(e)
            g = Add(c, f) h = Add(g, x) i = Relu(h) j = {TO_NCHW}(i) k = Conv(j, w) l = {TO_NHWC}(k)
            y = ReduceMean(l, axes) }}""",
        w=RANDOM.normal(size=(4, 4, 3, 3)).astype("f"),
        axes=np.int64([1, 2]),
    )
    counts = {name: operators(model).count(name) for name in ("Transpose", "Conv", "Add")}
    assert counts == {"Transpose": 2, "Conv": 3, "Add": 2}
    last = [node for node in model.graph if node.op_type == "Transpose"][-1]
    assert math.prod(static_shape(last.inputs[0])) == 4  # it moves axes of size 1, to keep the output's layout


def test_squeeze_and_excitation_in_nhwc():
    model = rewritten(
        f"""(float[1,4,6,6] x) => (float[1,4,6,6] y) {{
            a = Conv(x, w) b = {TO_NHWC}(a) m = ReduceMean(b, axes) n = {TO_NCHW}(m) o = Conv(n, w) p = {TO_NHWC}(o)
            q = Sigmoid(p) r = Mul(b, q) s = {TO_NCHW}(r) y = Conv(s, w) }}""",
        w=RANDOM.normal(size=(4, 4, 1, 1)).astype("f"),
        axes=np.int64([1, 2]),
    )
    assert operators(model) == ["Conv", "ReduceMean", "Conv", "Sigmoid", "Mul", "Conv"]


@pytest.mark.parametrize(
    "body",
    [
        f"a = {TO_NCHW}(x) y = Relu(a)",
        f"a = {TO_NCHW}(x) b = Relu(a) y = LayerNormalization<axis=2>(b, w)",
        f"a = {TO_NCHW}(x) b = Reshape(a, s) c = Relu(b) y = Transpose<perm=[1,0]>(c)",
        "a = Transpose<perm=[1,0,2,3]>(x) b = Relu(a) c = Conv(b, k) y = Transpose<perm=[1,0,2,3]>(c)",
    ],
)
def test_left_alone(body):
    model = graph(
        f"(float[2,2,3,4] x) => (float[A,B,C,D] y) {{ {body} }}"
        if "[1,0]" not in body
        else f"(float[2,2,3,4] x) => (float[A,B] y) {{ {body} }}",
        w=np.ones((2, 3), "f"),
        s=np.int64([2, -1]),
        k=np.ones((3, 2, 1, 1), "f"),
    )
    infer_shapes(model)
    before = to_bytes(model)
    assert not cancel_transposes(model)
    assert to_bytes(model) == before


def test_an_output_between_a_pair_keeps_its_layout():
    model = rewritten(
        f"""(float[1,2,3,4] x) => (float[1,4,2,3] m, float[1,2,3,4] y) {{
            a = Relu(x) b = {TO_NCHW}(a) m = Relu(b) c = {TO_NHWC}(m) y = Relu(c) }}"""
    )
    assert transposes(model) == 1


def test_an_output_that_is_the_input_twice_transposed_stays_an_output():
    model = rewritten(f"(float[1,2,3,4] x) => (float[1,2,3,4] y) {{ a = {TO_NCHW}(x) y = {TO_NHWC}(a) }}")
    assert [value.name for value in model.graph.outputs] == ["y"]


class _Grower:
    """A random graph on tensors of four dimensions, with Transposes everywhere."""

    def __init__(self, draw):
        self.draw = draw
        self.nodes, self.constants, self.shapes = [], [], {"x": (2, 3, 4, 5)}

    def constant(self, array):
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(array), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def add(self, operator, shape, *inputs, **attributes):
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        self.shapes[name] = tuple(shape)
        return name

    def any(self):
        return self.draw(st.sampled_from(sorted(self.shapes)[-4:]))

    def grow(self):
        x = self.any()
        shape = self.shapes[x]
        axis = self.draw(st.integers(0, 3))
        match self.draw(
            st.sampled_from(["transpose"] * 4 + ["relu", "add", "bias", "concat", "quantize", "mean", "pad"])
        ):
            case "transpose":
                perm = self.draw(st.sampled_from([(0, 2, 3, 1), (0, 3, 1, 2), (1, 0, 2, 3)]))
                self.add("Transpose", [shape[axis] for axis in perm], x, perm=perm)
            case "relu":
                self.add("Relu", shape, x)
            case "add":
                other = next((name for name in sorted(self.shapes) if self.shapes[name] == shape), x)
                self.add("Add", shape, x, other)
            case "bias":
                self.add("Mul", shape, x, self.constant(RANDOM.normal(size=shape[axis:]).astype("f")))
            case "concat":
                if math.prod(shape) < 2000:
                    self.add(
                        "Concat", [size * (2 if i == axis else 1) for i, size in enumerate(shape)], x, x, axis=axis
                    )
            case "quantize":
                scale, zero = self.constant(np.float32(0.05)), self.constant(np.int8(3))
                integers = self.add("QuantizeLinear", shape, x, scale, zero)
                del self.shapes[integers]  # for the DequantizeLinear alone
                self.add("DequantizeLinear", shape, integers, scale, zero)
            case "mean":
                axes = self.constant(np.int64([axis]))
                self.add("ReduceMax", [1 if i == axis else size for i, size in enumerate(shape)], x, axes)
            case "pad":
                if math.prod(shape) < 2000:
                    pads = [0] * 8
                    pads[axis] = 1
                    sizes = [size + (i == axis) for i, size in enumerate(shape)]
                    self.add("Pad", sizes, x, self.constant(np.int64(pads)))


@st.composite
def tangles(draw):
    grower = _Grower(draw)
    for _ in range(draw(st.integers(1, 14))):
        grower.grow()
    if not grower.nodes:
        grower.add("Relu", grower.shapes["x"], "x")
    produced = [node.output[0] for node in grower.nodes]
    outputs = {produced[-1], *draw(st.lists(st.sampled_from(produced), max_size=2))}
    info = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in sorted(outputs)]
    for value in info:
        integer = any(node.op_type == "QuantizeLinear" and node.output[0] == value.name for node in grower.nodes)
        value.type.tensor_type.elem_type = TensorProto.INT8 if integer else TensorProto.FLOAT
    proto = helper.make_model(
        helper.make_graph(
            grower.nodes,
            "tangle",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, grower.shapes["x"])],
            info,
            grower.constants,
        ),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    return ir.from_proto(proto)


def bytes_moved(model):
    """By Transposes that move more than axes of size 1."""
    moved = 0
    for node in model.graph:
        if node.op_type == "Transpose":
            value, perm = node.inputs[0], node.attributes.get_ints("perm")
            order = [axis for axis in perm if static_shape(value)[axis] > 1]
            moved += 1 if order == sorted(order) else math.prod(static_shape(value)) * value.dtype.itemsize
    return moved


@settings(deadline=None, max_examples=60)
@given(tangles())
def test_outputs_stay_and_fewer_bytes_move(model):
    infer_shapes(model)
    before = model.clone()
    cancel_transposes(model)
    check_equal(before, model)
    assert bytes_moved(model) <= bytes_moved(before)
    once = to_bytes(model)
    assert not cancel_transposes(model)
    assert to_bytes(model) == once


@settings(deadline=None, max_examples=30)
@given(tangles())
def test_canonical_form_is_reached_at_once(model):
    before = model.clone()
    canonicalise(model)
    check_equal(before, model)
    once = to_bytes(model)
    canonicalise(model)
    assert to_bytes(model) == once


@pytest.mark.parametrize("barrier", ["CumSum", None])
def test_time_grows_with_the_graph(barrier):
    """Thousands of Transposes: pairs to cancel between operators that cannot follow, or all of them different."""
    shape, inverse = [2, 1, 2, 3, 1, 2, 1], (0, 3, 1, 2, 4, 5, 6)
    perms = [*permutations(range(7))][::5]
    value = ir.val("x", ir.DataType.FLOAT, shape)
    axis = ir.val("axis", const_value=ir.tensor(np.array(0, np.int64), name="axis"))
    inputs, nodes = [value], []
    for index in range(1000):
        steps = [("Transpose", {"perm": perms[index]}), ("Relu", {})]
        if barrier:
            steps = [("Transpose", {"perm": (0, 2, 3, 1, 4, 5, 6)}), ("Relu", {}), ("Transpose", {"perm": inverse})]
            steps.append((barrier, {}))
        for operator, attributes in steps:
            operands = [value, axis] if operator == barrier else [value]
            nodes.append(ir.node(operator, operands, attributes, name=f"n{len(nodes)}"))
            value = nodes[-1].outputs[0]
            value.name = f"v{len(nodes)}"
    model = ir.Model(ir.Graph(inputs, [value], nodes=nodes, initializers=[axis], opset_imports={"": 20}), ir_version=10)
    infer_shapes(model)
    start = time.process_time()
    cancel_transposes(model)
    assert time.process_time() - start < 10
    assert transposes(model) <= 1
