"""ConvTranspose written as Conv computes what onnxruntime computes from the ConvTranspose."""

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from openwork.errors import DataError
from openwork.graph import evaluate, static_shape
from openwork.lowering import lower
from openwork.passes import canonicalise, expand_conv_transpose, infer_shapes
from tests.graphs import operators, to_bytes
from tests.models import Writer, random_inputs

some = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def layers(draw):
    """(writer, name of the result): a ConvTranspose of any window, group and padding."""
    writer = Writer(draw(st.integers(0, 1000)))
    rank, groups = draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2, 3]))
    inner, outer = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def each(low, high):
        return [draw(st.integers(low, high)) for _ in range(rank)]

    kernel, strides, dilations, sizes = each(1, 4), each(1, 3), each(1, 2), each(1, 5)
    attributes = {"strides": strides, "dilations": dilations, "group": groups}
    more = [
        draw(st.integers(0, max(stride, dilation) - 1)) for stride, dilation in zip(strides, dilations, strict=True)
    ]
    full = [
        stride * (size - 1) + dilation * (width - 1) + 1
        for stride, size, dilation, width in zip(strides, sizes, dilations, kernel, strict=True)
    ]
    if draw(st.booleans()):
        attributes["output_padding"] = more
    else:
        more = [0] * rank
    match draw(st.sampled_from(["pads", "pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "output_shape"])):
        case "pads":
            begins = [draw(st.integers(0, min(3, size - 1))) for size in full]
            attributes["pads"] = begins + [
                draw(st.integers(0, min(3, size - 1 - begin))) for begin, size in zip(begins, full, strict=True)
            ]
        case "output_shape":
            # onnxruntime takes none that is larger than what there is.
            most = map(sum, zip(full, more, strict=True))
            attributes["output_shape"] = [draw(st.integers(max(1, size - 3), size)) for size in most]
            attributes["auto_pad"] = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER"]))
        case auto:
            attributes["auto_pad"] = auto
    weight = writer.normal(groups * inner, outer, *kernel)
    operands = [writer.constant(weight)]
    if draw(st.booleans()):
        operands.append(writer.constant(writer.normal(groups * outer)))
    x = writer.input("x", (draw(st.integers(1, 2)), groups * inner, *sizes))
    return writer, writer.op("ConvTranspose", x, *operands, name="y", **attributes)


@some
@given(layers())
def test_the_result_is_the_same(layer):
    writer, y = layer
    model = writer.model(y)
    inputs = random_inputs(model)
    try:
        expected = evaluate(model, inputs)["y"]
    except DataError:  # onnxruntime takes fewer combinations of pads and sizes than ONNX
        reject()
    infer_shapes(model)
    assert static_shape(model.graph.outputs[0]) == expected.shape
    assert expand_conv_transpose(model)
    assert "ConvTranspose" not in operators(model)
    np.testing.assert_allclose(evaluate(model, inputs)["y"], expected, rtol=1e-4, atol=1e-4)
    assert static_shape(model.graph.outputs[0]) == expected.shape
    before = to_bytes(model)
    assert not expand_conv_transpose(model)
    assert to_bytes(model) == before


def upsampling(writer: Writer, weight: str, *more: str, **attributes: object) -> ir.Model:
    x = writer.input("x", (1, 4, 5, 6))
    y = writer.op("ConvTranspose", x, weight, *more, name="y", strides=[2, 2], pads=[1, 1, 1, 1], **attributes)
    return writer.model(y)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("axis", [None, 1])
@pytest.mark.parametrize("zero_point", [0, 3])
def test_integer_weights_stay_integers(groups, axis, zero_point):
    writer = Writer()
    channels = 6 // groups
    integers = writer.rng.integers(-127, 128, (4, channels, 4, 4)).astype(np.int8)
    scale = np.float32(0.01) if axis is None else writer.rng.uniform(0.001, 0.01, channels).astype(np.float32)
    zeros = np.full(scale.shape, zero_point, np.int8)
    weight = writer.quantized_constant(integers, scale, zeros, axis=axis or 0)
    bias = writer.quantized_constant(writer.rng.integers(-99, 99, 6).astype(np.int32), np.full(6, np.float32(0.01)))
    model = upsampling(writer, weight, bias, group=groups)
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    canonicalise(model)
    assert sorted(operators(model)) == ["Conv", *["DequantizeLinear"] * 2, "Reshape", "Reshape", "Transpose"]
    np.testing.assert_allclose(evaluate(model, inputs)["y"], expected, rtol=1e-4, atol=1e-4)


def test_batch_normalization_goes_in_first():
    writer = Writer()
    x = writer.input("x", (1, 4, 5, 6))
    y = writer.op("ConvTranspose", x, writer.constant(writer.normal(4, 6, 3, 3)), strides=[2, 1])
    params = [writer.constant(np.abs(writer.normal(6)) + np.float32(0.1)) for _ in range(4)]
    model = writer.model(writer.op("BatchNormalization", y, *params, name="y"))
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    canonicalise(model)
    assert "BatchNormalization" not in operators(model)
    np.testing.assert_allclose(evaluate(model, inputs)["y"], expected, rtol=1e-3, atol=1e-4)


def test_scales_of_input_channels_and_run_time_weights_stay():
    writer = Writer()
    integers = writer.rng.integers(-127, 128, (4, 6, 3, 3)).astype(np.int8)
    weight = writer.quantized_constant(integers, np.full(4, np.float32(0.1)), axis=0)
    assert not expand_conv_transpose(upsampling(writer, weight))
    writer = Writer()
    assert not expand_conv_transpose(upsampling(writer, writer.input("w", (4, 6, 3, 3))))


def test_a_result_may_be_smaller_than_the_input():
    writer = Writer()
    x = writer.input("x", (1, 2, 9, 9))
    weight = writer.constant(writer.normal(2, 3, 3, 3))
    model = writer.model(writer.op("ConvTranspose", x, weight, output_shape=[5, 4], name="y"))
    inputs = random_inputs(model)
    expected = evaluate(model, inputs)["y"]
    canonicalise(model)
    assert expected.shape == static_shape(model.graph.outputs[0]) == (1, 3, 5, 4)
    np.testing.assert_allclose(evaluate(model, inputs)["y"], expected, rtol=1e-4, atol=1e-4)


def test_strides_far_beyond_the_kernel_stay():
    """Its weight would be mostly zeros; a damaged file may ask for terabytes of them."""
    writer = Writer()
    x, weight = writer.input("x", (1, 2, 3, 3)), writer.constant(writer.normal(2, 2, 3, 3))
    pads = [0, 0, 2 * 10**6 - 5, 2 * 10**6 - 5]
    model = writer.model(writer.op("ConvTranspose", x, weight, name="y", strides=[10**6, 10**6], pads=pads))
    canonicalise(model)
    assert operators(model) == ["ConvTranspose"]
    lower(model)
