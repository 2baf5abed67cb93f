import logging

import numpy as np
import onnx
import onnx.backend.test
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from openwork.frontends import load_model
from openwork.graph import evaluate
from openwork.passes import canonicalise, expand_qoperators
from tests.graphs import graph, operators, to_bytes

OPSETS = {"": 17, "com.microsoft": 1}

# Each operator: its inputs, as shapes of bytes; its attributes; and the share of results that may be one step away from
# those of onnxruntime's integer operator, where the float form is not fused to that operator again. Sums of integers
# are exact in floats; what is divided may lie on the other side of a half; onnxruntime's Softmax is a table.
NODES = {
    "QLinearConv": ([(2, 4, 7, 7), (6, 2, 3, 3)], {"group": 2, "strides": [2, 1], "pads": [1, 0, 1, 2]}, 0.01),
    "QLinearMatMul": ([(2, 3, 8), (8, 5)], {}, 0.01),
    "QGemm": ([(8, 3), (5, 8)], {"transA": 1, "transB": 1, "alpha": 0.5}, 0.01),
    "QLinearAdd": ([(2, 4, 5), (4, 1)], {}, 0.01),
    "QLinearMul": ([(2, 4, 5), (1, 5)], {}, 0.01),
    "QLinearConcat": ([(2, 3, 4), (2, 2, 4)], {"axis": 1}, 0),
    "QLinearLeakyRelu": ([(3, 40)], {"alpha": 0.1}, 0),
    "QLinearSigmoid": ([(3, 40)], {}, 0),
    "QLinearSoftmax": ([(3, 2, 8)], {"axis": -1, "opset": 17}, 0.1),
    "QLinearSoftmax 1": ([(3, 2, 8)], {"axis": 1, "opset": 17}, 0.1),
    "QLinearSoftmax 12": ([(3, 2, 8)], {"axis": 1, "opset": 12}, 0.1),
    "QLinearAveragePool": ([(1, 3, 6, 6)], {"kernel_shape": [3, 3], "pads": [1, 1, 0, 0], "strides": [2, 2]}, 0.01),
    "QLinearGlobalAveragePool": ([(2, 3, 5, 5)], {}, 0.02),
}
BIAS = {"QLinearConv": 6, "QGemm": 5}
STANDARD = ("QLinearConv", "QLinearMatMul")
WEIGHTED = ("QLinearConv", "QLinearMatMul", "QGemm")


def single(name, dtype, *, per_channel=False, random):
    """One operator on bytes that are all inputs of the graph, but for weights."""
    shapes, attributes, _ = NODES[name]
    operator, constants, inputs = name.split()[0], {}, []
    limits = np.iinfo(dtype)
    codes = []
    for index, shape in enumerate(shapes):
        integers, scale = f"x{index}", np.float32(random.uniform(0.01, 0.03))
        zero = np.asarray(random.integers(limits.min + 60, limits.max - 60), dtype)
        if operator in WEIGHTED and index == 1:
            zero = np.int8(0)
            channels = {"QLinearConv": shape[0], "QGemm": shape[0], "QLinearMatMul": shape[-1]}[operator]
            if per_channel:
                scale, zero = random.uniform(0.01, 0.03, channels).astype("f"), np.zeros(channels, np.int8)
            constants[integers] = random.integers(-63, 64, shape).astype(np.int8)  # see `unfused`
        else:
            inputs.append(
                helper.make_tensor_value_info(integers, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
            )
        constants |= {f"{integers}_scale": np.asarray(scale, "f"), f"{integers}_zero": zero}
        codes += [integers, f"{integers}_scale", f"{integers}_zero"]
    constants |= {"y_scale": np.float32(0.004 if "S" in operator[7:8] else 0.05)}
    constants |= {"y_zero": np.asarray(random.integers(limits.min + 100, limits.max - 100), dtype)}
    result = ["y_scale", "y_zero"]
    if operator in BIAS:
        constants["bias"] = random.integers(-5000, 5000, BIAS[operator]).astype(np.int32)
    names = {
        "QLinearConcat": [*result, *codes],
        "QLinearConv": [*codes, *result, "bias"],
        "QGemm": [*codes, "bias", *result],
    }.get(operator, [*codes, *result])
    node = helper.make_node(
        operator, names, ["y"], name="it", domain="" if operator in STANDARD else "com.microsoft", **attributes
    )
    output = helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)
    model = helper.make_model(
        helper.make_graph(
            [node],
            "one",
            inputs,
            [output],
            [onnx.numpy_helper.from_array(np.asarray(a), n) for n, a in constants.items()],
        ),
        opset_imports=[helper.make_opsetid(*item) for item in OPSETS.items()],
        ir_version=8,
    )
    return ir.from_proto(model)


def unfused(model, inputs, taps=()):
    """What the operators compute as they stand.

    onnxruntime would make integer operators of the float form again, and cannot run its own int8 networks in the
    precise mode that `evaluate` asks for. So on processors without VNNI its sums of two products saturate at 16 bits,
    which weights of seven bits never reach.
    """
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    proto = ir.to_proto(model)
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in taps)
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, inputs), strict=True))


def bytes_for(model, random):
    return {
        value.name: random.integers(
            np.iinfo(value.dtype.numpy()).min, np.iinfo(value.dtype.numpy()).max + 1, value.shape.numpy()
        ).astype(value.dtype.numpy())
        for value in model.graph.inputs
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("name", NODES)
def test_each_operator(name, per_channel, dtype):
    """None is further away than one step, and few are that far."""
    random = np.random.default_rng(0)
    if per_channel and name not in WEIGHTED:
        per_channel = False
    away = total = 0
    for _ in range(5):
        model = single(name, dtype, per_channel=per_channel, random=random)
        inputs = bytes_for(model, random)
        before = model.clone()
        assert expand_qoperators(model)
        assert not any(operator.startswith("Q") and operator != "QuantizeLinear" for operator in operators(model))
        assert "it" in {node.name for node in model.graph} or name.startswith("QLinearSoftmax")
        expected = unfused(before, inputs)["y"]
        difference = np.abs(expected.astype(int) - unfused(model, inputs)["y"].astype(int))
        assert len(np.unique(expected)) > 3
        assert difference.max() <= 1
        away, total = away + np.count_nonzero(difference), total + difference.size

        once = to_bytes(model)
        assert not expand_qoperators(model)
        assert to_bytes(model) == once
    assert away <= NODES[name][2] * total, f"{away} of {total}"


class Samples(CalibrationDataReader):
    def __init__(self, samples):
        self.samples = iter(samples)

    def get_next(self):
        return next(self.samples, None)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", [QuantType.QUInt8, QuantType.QInt8])
def test_a_network_of_onnxruntime(tmp_path, kind, per_channel, caplog):
    """What its quantizer writes gives the same integers after the pipeline, to the last."""
    caplog.set_level(logging.ERROR)
    random = np.random.default_rng(0)
    floats = graph(
        """(float[N,4,12,12] x) => (float[N,6] y) {
            c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c)
            d = Conv<pads=[1,1,1,1], group=8>(r, v) l = LeakyRelu<alpha=0.1>(d) a = Add(l, r)
            s = Sigmoid(a) m = Mul(a, s) k = Concat<axis=1>(m, r) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(k)
            q = AveragePool<kernel_shape=[2,2], strides=[2,2]>(p) g = GlobalAveragePool(q) f = Flatten(g)
            e = Gemm(f, h, i) o = MatMul(e, j) y = Softmax(o)
        }""",
        opset=17,
        **{
            name: random.normal(size=shape).astype("f")
            for name, shape in {
                **{"w": (8, 4, 3, 3), "b": (8,), "v": (8, 1, 3, 3), "h": (16, 10), "i": (10,), "j": (10, 6)},
            }.items()
        },
    )
    (tmp_path / "float.onnx").write_bytes(to_bytes(floats))
    x = [{"x": random.normal(size=(1, 4, 12, 12)).astype("f")} for _ in range(8)]
    quantize_static(
        tmp_path / "float.onnx",
        tmp_path / "q.onnx",
        Samples(x),
        quant_format=QuantFormat.QOperator,
        activation_type=kind,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
        reduce_range=True,
    )
    before = load_model(tmp_path / "q.onnx")
    assert {node.domain for node in before.graph} == {"", "com.microsoft"}
    taps = [
        node.outputs[0].name
        for node in before.graph
        if node.op_type.startswith("Q") and not node.outputs[0].is_graph_output()
    ]
    assert len(taps) == 13
    model = before.clone()
    canonicalise(model)
    assert set(model.graph.opset_imports) == {""}
    for inputs in x:
        expected, found = unfused(before, inputs, taps), evaluate(model, inputs, taps=taps)
        for name in (*taps, "y"):
            np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # while ONNX makes its cases
def test_the_cases_of_onnx(tmp_path):
    """ONNX's own: equal to the outputs that come with them. A weight that is an input is made constant."""
    wanted = ("QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger")
    cases = [
        case
        for case in onnx.backend.test.loader.load_model_tests(kind="node")
        if case.model is not None and {node.op_type for node in case.model.graph.node} & set(wanted)
    ]
    expanded = 0
    for case in cases:
        (tmp_path / "case.onnx").write_bytes(case.model.SerializeToString())
        model = load_model(tmp_path / "case.onnx")
        (inputs, outputs), *_ = case.data_sets
        values = dict(zip([value.name for value in model.graph.inputs], inputs, strict=True))
        for node in list(model.graph):
            for index, value in enumerate(node.inputs):
                if value is not None and index != 0 and value.is_graph_input():
                    model.graph.inputs.remove(value)
                    value.const_value = ir.tensor(values.pop(value.name), name=value.name)
                    model.graph.register_initializer(value)
        if any(value.dtype == np.float16 for value in model.graph.initializers.values()):
            continue
        assert expand_qoperators(model), case.name
        expanded += 1
        (found,) = unfused(model, values).values()
        np.testing.assert_array_equal(found, outputs[0], err_msg=case.name)
    assert expanded >= 7, [case.name for case in cases]


class TestIntegers:
    def model(self, operator, weight, zero=7, dtype="uint8", shape="1,3,6,6", weight_zero=None):
        constants = {"w": weight, "xz": np.uint8(zero), "wz": weight_zero}
        names = ", ".join(name for name, array in constants.items() if array is not None)
        return graph(
            f"({dtype}[{shape}] x) => (int32[{'N,M,H,W' if operator == 'ConvInteger' else 'N,M'}] y)"
            f"{{ y = {operator}(x, {names}) }}",
            **{name: array for name, array in constants.items() if array is not None},
        )

    def same(self, model):
        before, random = model.clone(), np.random.default_rng(1)
        assert expand_qoperators(model)
        assert operators(model)[-1] in ("Cast", "Add")
        for _ in range(5):
            inputs = bytes_for(model, random)
            np.testing.assert_array_equal(unfused(model, inputs)["y"], evaluate(before, inputs)["y"])

    def test_convolution(self):
        weight = np.random.default_rng(0).integers(0, 256, (5, 3, 3, 3)).astype(np.uint8)
        self.same(self.model("ConvInteger", weight, weight_zero=np.uint8(100)))

    def test_matrix_product_with_a_zero_point_for_each_column(self):
        weight = np.random.default_rng(0).integers(-128, 128, (6, 5)).astype(np.int8)
        self.same(self.model("MatMulInteger", weight, shape="4,6", weight_zero=np.arange(5).astype(np.int8)))

    @pytest.mark.parametrize(("rows", "parts"), [(518, 1), (519, 2), (1036, 2), (1037, 3)])
    def test_the_proof(self, rows, parts):
        """519 * 128 * 253 is the first above 2^24."""
        model = self.model("MatMulInteger", np.full((rows, 2), -128, np.int8), 2, shape=f"1,{rows}")
        assert expand_qoperators(model)
        assert operators(model).count("MatMul") == parts
        x = np.full((1, rows), 255, np.uint8)
        np.testing.assert_array_equal(unfused(model, {"x": x})["y"], -128 * 253 * rows)

    def test_a_convolution_of_many_channels_is_a_sum_of_several(self):
        weight = np.full((2, 90, 3, 3), -128, np.int8)
        weight[1] = 127
        model = self.model("ConvInteger", weight, 3, shape="1,90,3,3")
        self.same(model)
        assert operators(model).count("Conv") == 2

    def test_one_channel_that_is_too_large_stays(self):
        assert not expand_qoperators(
            self.model("ConvInteger", np.full((1, 1, 23, 23), -128, np.int8), shape="1,1,23,23")
        )

    def test_a_weight_that_is_computed_stays(self):
        model = graph("(uint8[2,3] x, int8[3,2] w) => (int32[2,2] y) { y = MatMulInteger(x, w) }")
        assert not expand_qoperators(model)


def test_channels_last_stays():
    model = single("QLinearGlobalAveragePool", np.uint8, random=np.random.default_rng(0))
    model.graph[0].attributes.add(ir.AttrInt64("channels_last", 1))
    assert not expand_qoperators(model)
