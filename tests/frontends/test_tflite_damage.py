"""Damaged .tflite files: a clear error of our own, in bounded time and memory, whatever the bytes.

`test_mutations.py` damages them by the thousand.
"""

import resource
import time

import numpy as np
import pytest

from openwork.errors import ModelError
from openwork.frontends import load_model
from openwork.frontends.tflite.read import read_network
from openwork.passes import canonicalise
from tests.frontends.test_tflite import INT8, file_of
from tests.frontends.tflite_files import File, Operator


def small_network():
    """x int8[1,6,6,2] -> a convolution, a pooling, a concatenation, a reshape, a fully connected layer, a softmax."""
    rng, file = np.random.default_rng(0), File()
    scale = {"scale": [0.1], "zero_point": [3]}

    def weight(name, shape, axis=0):
        channels = shape[axis]
        data = rng.integers(-127, 128, shape).astype(np.int8)
        return file.add(name, shape, "int8", data, [0.01] * channels, [0] * channels, axis)

    def bias(name, channels):
        return file.add(name, (channels,), "int32", np.arange(channels, dtype=np.int32), [0.001] * channels, [0])

    def run(name, inputs, shape, kind="", **options):
        output = file.add(name.lower(), shape, "int8", None, **scale)
        file.operators.append(Operator(name, inputs, [output], kind, options))
        return output

    x = file.add("x", (1, 6, 6, 2), "int8", None, **scale)
    window = {"Padding": 0, "StrideW": 1, "StrideH": 1}
    conv = {**window, "DilationWFactor": 1, "DilationHFactor": 1, "FusedActivationFunction": 1}
    y = run("CONV_2D", [x, weight("k", (3, 3, 3, 2)), bias("b", 3)], (1, 6, 6, 3), "Conv2DOptions", **conv)
    pool = {"Padding": 1, "StrideW": 2, "StrideH": 2, "FilterWidth": 2, "FilterHeight": 2}
    y = run("MAX_POOL_2D", [y], (1, 3, 3, 3), "Pool2DOptions", **pool)
    y = run("CONCATENATION", [y, y], (1, 3, 3, 6), "ConcatenationOptions", Axis=3)
    pads = file.add("pads", (4, 2), "int32", np.int32([[0, 0], [1, 0], [0, 1], [0, 0]]))
    y = run("PAD", [y, pads], (1, 4, 4, 6), "PadOptions")
    axes = file.add("axes", (2,), "int32", np.int32([1, 2]))
    y = run("MEAN", [y, axes], (1, 6), "ReducerOptions")
    y = run("FULLY_CONNECTED", [y, weight("w", (4, 6)), bias("c", 4)], (1, 4), "FullyConnectedOptions")
    y = run("SOFTMAX", [y], (1, 4), "SoftmaxOptions", Beta=1.0)
    file.inputs, file.outputs = [x], [y]
    return file.content()


SMALL = small_network()


def survives(path, content, *, canonical=True):
    """Whether a file loads; if not, it says so in one line that names it. canonical: go on with what loads."""
    path.write_bytes(content)
    try:
        model = load_model(path)
        if canonical:
            canonicalise(model)
    except ModelError as error:
        assert "\n" not in str(error)
        return False
    return True


def test_the_small_network_is_sound(tmp_path):
    assert survives(tmp_path / "m.tflite", SMALL)


@pytest.mark.parametrize("name", [*INT8, "ic_resnet8_float"])
def test_truncations(tmp_path, name):
    content = file_of(name).read_bytes()
    lengths = range(0, len(content), 64)
    for length in lengths:
        with pytest.raises(ModelError):
            read_network(content[:length])
    print(f"{len(lengths)} truncations of {name} tried")


def test_truncations_of_a_small_file(tmp_path):
    lengths = range(0, len(SMALL), 4)
    for length in lengths:
        survives(tmp_path / "m.tflite", SMALL[:length])
    print(f"{len(lengths)} truncations tried")


def test_a_buffer_named_many_times_is_paid_for():
    """2,000 tensors that share a constant of 1 MB ask for 2 GB: refused, in little time and memory."""
    file = File()
    file.add("x", (250_000,), "float32", np.zeros(250_000, np.float32))
    for index in range(2000):
        file.add(f"t{index}", (250_000,), "float32", data_of=0)
    refused_cheaply(file.content())


def refused_cheaply(content):
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(ModelError, match="claims to hold more than its size"):
        read_network(content)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * len(content) / 1024  # in kB
    assert time.process_time() - start < 5
