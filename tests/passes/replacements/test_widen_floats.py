"""Networks of other floats are those of float32, and say so."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from openwork import InferenceSession
from openwork.deploy.compile import compile_model
from openwork.frontends import load_model
from openwork.lowering import interpreter, lower
from openwork.passes import canonicalise
from openwork.quantization import calibrate, quantize
from openwork.targets import load_target
from tests.models import Writer, random_inputs

# How far a result may be off that was rounded to a type at each of a few steps.
TYPES = {
    "float16": (onnx.TensorProto.FLOAT16, np.float16, 4e-3),
    "bfloat16": (onnx.TensorProto.BFLOAT16, ml_dtypes.bfloat16, 4e-2),
    "double": (onnx.TensorProto.DOUBLE, np.float64, 1e-5),
}
HEAD = '<ir_version: 8, opset_import: ["" : 17]> g '


def network(name: str) -> onnx.ModelProto:
    """x[2,8] -> Gemm, a mask of the lowest number, Softmax; a constant inside a node, and casts there and back."""
    code, dtype, _ = TYPES[name]
    text = f"""{HEAD} ({name}[2,8] x) => ({name}[2,4] y, {name}[2,4] h) <{name}[8,4] w, {name}[4] b, {name} low> {{
        g = Gemm(x, w, b) f = Cast<to = 1>(g) r = Tanh(f) h = Cast<to = {code}>(r)
        s = Shape(h) z = ConstantOfShape(s) c = CastLike(z, h) m = Greater(h, c) k = Where(m, h, low)
        y = Softmax<axis = 1>(k) }}"""
    model = onnx.parser.parse_model(text)
    rng, lowest = np.random.default_rng(0), (ml_dtypes.finfo(dtype) if name == "bfloat16" else np.finfo(dtype)).min
    arrays = {"w": rng.normal(0, 0.4, (8, 4)), "b": rng.normal(0, 1, 4), "low": np.array(lowest)}
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(a.astype(dtype), key) for key, a in arrays.items())
    return model


@pytest.mark.parametrize("name", TYPES)
def test_a_network_is_computed_in_float32(name: str, tmp_path: Path) -> None:
    _, dtype, atol = TYPES[name]
    proto = network(name)
    onnx.save(proto, tmp_path / "m.onnx")
    x = np.random.default_rng(1).normal(size=(2, 8)).astype(np.float32)
    expected = [np.asarray(y, np.float32) for y in ReferenceEvaluator(proto).run(None, {"x": x.astype(dtype)})]
    model = load_model(tmp_path / "m.onnx")
    canonicalise(model)
    types = {value.dtype for value in (*model.graph.inputs, *model.graph.outputs)}
    assert types == {ir.DataType.FLOAT}
    program = lower(model)
    assert program.notes == (f"the model is of {np.dtype(dtype).name}; its inputs, outputs and sums are float32",)
    for found, right in zip(interpreter.run(program, {"x": x}).values(), expected, strict=True):
        np.testing.assert_allclose(found, right, rtol=0, atol=atol)
    if name == "float16":
        artifact = compile_model(model, tmp_path / "deploy", target=load_target("cpu"))
        assert "float16" in artifact.notes()[0]
        with InferenceSession(artifact.directory) as session:
            for found, right in zip(session.run(None, {"x": x}), expected, strict=True):
                np.testing.assert_allclose(found, right, rtol=0, atol=atol)


def test_a_network_of_float16_is_quantized() -> None:
    """Its float32 form, to the integers that a float32 network of the same numbers has."""
    model = ir.from_proto(network("float16"))
    canonicalise(model)
    data = [{"x": np.random.default_rng(seed).normal(size=(2, 8)).astype(np.float32)} for seed in range(3)]
    integers = quantize(model, calibrate(model, data))
    canonicalise(integers)
    assert "QuantizeLinear" in {node.op_type for node in integers.graph}
    program = lower(integers)
    assert {"int8", "uint8"} & {buffer.dtype for buffer in program.buffers.values()}
    assert any("float16" in note for note in program.notes)


def test_scales_of_float16_become_float32() -> None:
    text = f"""{HEAD.replace("17", "19")} (float16[4] x) => (float16[4] y) <float16 s = {{0}}, int8 o = {{0}}>
        {{ q = QuantizeLinear(x, s, o) y = DequantizeLinear(q, s, o) }}"""
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.float16(0.5), "s"))
    model = ir.from_proto(proto)
    canonicalise(model)
    x = np.float32([0.25, 0.75, -9, 100])
    (found,) = interpreter.run(lower(model), {"x": x}).values()
    np.testing.assert_array_equal(found, np.float32([0, 1, -9, 63.5]))


def test_a_network_of_float32_is_left_alone() -> None:
    w = Writer()
    model = w.model(w.gemm(w.input("x", (1, 4)), 4, 2))
    canonicalise(model)
    assert not model.metadata_props and lower(model).notes == ()
    assert set(random_inputs(model)) == {"x"}


def test_the_note_stays_when_a_model_is_made_canonical_again() -> None:
    model = ir.from_proto(network("float16"))
    canonicalise(model)
    once = ir.to_proto(model).SerializeToString()
    canonicalise(model)
    assert ir.to_proto(model).SerializeToString() == once
    assert "float16" in lower(model).notes[0]
