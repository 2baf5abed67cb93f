"""Tensors that a file keeps by their nonzero elements, held against onnxruntime."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper

from openwork.errors import ModelError
from openwork.exporters import save_onnx
from openwork.frontends import load_model
from openwork.graph import constant, evaluate
from openwork.passes import canonicalise
from tests.frontends import strange
from tests.frontends.strange import MATRIX, SHAPE, tensor
from tests.graphs import graph

X = np.random.default_rng(1).normal(size=SHAPE).astype("f")
FLAT = np.flatnonzero(MATRIX)
VALUES = MATRIX.reshape(-1)[FLAT]


def onnxruntime_runs(content):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(content, options).run(None, {"x": X})[0]


def with_sparse(values=VALUES, indices=FLAT, dims=MATRIX.shape, **external):
    """The network, whose matrix is sparse."""
    model = strange.network()
    del model.graph.initializer[1]
    values, indices = tensor("m", np.asarray(values)), tensor("i", np.asarray(indices))
    model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=values, indices=indices, dims=dims))
    return model


@pytest.mark.parametrize(
    ("values", "indices"),
    [
        (VALUES, FLAT),
        (VALUES[::-1].copy(), FLAT[::-1].copy()),
        (VALUES, np.argwhere(MATRIX)),
        (VALUES, FLAT.astype(np.int32)),
        (VALUES, np.argwhere(MATRIX).astype(np.int8)),
        (np.float32([]), np.int64([])),
        (np.float32([1, 2]), np.int64([3, 3])),
    ],
    ids=["flat", "unsorted", "by axis", "int32", "int8 by axis", "none", "a place told twice"],
)
def test_what_onnxruntime_takes(tmp_path, values, indices):
    model = with_sparse(values, indices)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    loaded = load_model(tmp_path / "m.onnx")
    expected = onnxruntime_runs(model.SerializeToString())
    np.testing.assert_array_equal(evaluate(loaded, {"x": X})["y"], expected)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"indices": np.int64([-1, *FLAT[1:]])}, "1 of its places are outside its shape"),
        ({"indices": np.int64([*FLAT[:-1], 24])}, "1 of its places are outside its shape"),
        ({"indices": FLAT[1:]}, "places of shape"),
        ({"indices": FLAT[:, None]}, "places of shape"),
        ({"indices": FLAT.astype(np.float32)}, "its places are no integers"),
        ({"values": VALUES[:, None]}, "a tensor of 2 dimensions, not a list"),
        ({"dims": [2**62, 2**62]}, "far more elements than it stores"),
        ({"dims": [2**31, 1]}, "far more elements than it stores"),
        ({"dims": [4, -6]}, r"its shape is \[4, -6\]"),
        ({"values": np.array(["a"] * len(FLAT), object)}, "its values are STRING"),
    ],
)
def test_damage_is_named_before_anything_large_is_made(tmp_path, change, reason):
    (tmp_path / "m.onnx").write_bytes(with_sparse(**change).SerializeToString())
    with pytest.raises(ModelError, match=f"sparse tensor 'm' is damaged .*{reason}"):
        load_model(tmp_path / "m.onnx")


def test_values_that_are_not_there_do_not_allow_a_large_tensor(tmp_path):
    model = with_sparse(dims=[2**29, 1])
    more = with_sparse().graph.sparse_initializer[0]
    more.values.name, more.values.dims[0] = "n", 2**40
    more.indices.dims[0] = 2**40
    model.graph.sparse_initializer.insert(0, more)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"sparse tensor 'm' .* far more"):
        load_model(tmp_path / "m.onnx")


def test_attributes_of_operators_that_nobody_knows(tmp_path):
    """Such a node is named by `lower`, not a reason why the file cannot be read."""
    model = strange.network()
    node = helper.make_node("Own", ["r"], ["unused"], domain="my.domain", places=strange.sparse("p", MATRIX))
    model.graph.node.append(node)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    attribute = load_model(tmp_path / "m.onnx").graph[-1].attributes["places"]
    np.testing.assert_array_equal(attribute.as_tensor().numpy(), MATRIX)


DTYPES = ("f4", "f8", "f2", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?")


def zeros_with_some(dtype, seed=0):
    random = np.random.default_rng(seed)
    kept = random.uniform(size=(24, 40)) < 0.05
    return np.where(kept, random.normal(size=kept.shape) * 50, 0).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_written_and_read_every_bit_is_the_same(tmp_path, dtype):
    array = zeros_with_some(dtype)
    model = graph("(float[24,40] x) => (float[24,40] y) { c = Cast<to = 1>(w) y = Mul(x, c) }", w=array)
    sizes = {}
    for name, sparse in (("dense", False), ("sparse", True), ("again", True)):
        save_onnx(model, tmp_path / name, sparse=sparse)
        sizes[name] = (tmp_path / name).stat().st_size
    assert sizes["sparse"] < sizes["dense"]
    assert (tmp_path / "sparse").read_bytes() == (tmp_path / "again").read_bytes()
    proto = onnx.load(tmp_path / "sparse")
    assert len(proto.graph.sparse_initializer) == 1 and not proto.graph.initializer
    onnx.checker.check_model(proto)
    assert constant(load_model(tmp_path / "sparse").graph.initializers["w"]).tobytes() == array.tobytes()
    x = {"x": np.random.default_rng(2).normal(size=array.shape).astype("f")}
    dense, sparse = (
        onnxruntime.InferenceSession((tmp_path / name).read_bytes()).run(None, x)[0] for name in ("dense", "sparse")
    )
    np.testing.assert_array_equal(dense, sparse)


def test_a_weight_times_a_mask_is_full_of_negative_zeros(tmp_path):
    array = np.random.default_rng(0).normal(size=(24, 40)).astype("f") * (zeros_with_some("f4") != 0)
    assert np.signbit(array[array == 0]).any()
    model = graph("(float[24,40] x) => (float[24,40] y) { y = Mul(x, w) }", w=array)
    save_onnx(model, tmp_path / "m.onnx", sparse=True)
    assert onnx.load(tmp_path / "m.onnx").graph.sparse_initializer
    np.testing.assert_array_equal(constant(load_model(tmp_path / "m.onnx").graph.initializers["w"]), array)


def test_what_would_not_become_smaller_or_is_told_outside_stays_dense(tmp_path):
    half = np.where(np.arange(960).reshape(24, 40) % 2, 1, 0).astype("f")
    told = zeros_with_some("f4")
    model = graph(
        "(float[24,40] x) => (float[24,40] y, float[24,40] told) { a = Mul(x, half) b = Mul(a, told) y = Mul(b, one) }",
        half=half,
        told=told,
        one=np.float32(0),
    )
    save_onnx(model, tmp_path / "m.onnx", sparse=True)
    proto = onnx.load(tmp_path / "m.onnx")
    assert {each.name for each in proto.graph.initializer} == {"half", "told", "one"}
    assert not proto.graph.sparse_initializer


def test_beside_a_dense_one_of_the_same_name_the_sparse_one_counts(tmp_path):
    model = with_sparse()
    model.graph.initializer.append(tensor("m", np.ones_like(MATRIX)))
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    actual = evaluate(load_model(tmp_path / "m.onnx"), {"x": X})["y"]
    np.testing.assert_array_equal(actual, onnxruntime_runs(model.SerializeToString()))


def test_beside_the_model(tmp_path):
    """Values and indices in a file of their own."""
    model = with_sparse()
    sparse = model.graph.sparse_initializer[0]
    content = b""
    for each in (sparse.values, sparse.indices):
        each.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", "m.bin"), ("offset", len(content)), ("length", len(each.raw_data))):
            each.external_data.add(key=key, value=str(value))
        content += each.raw_data
        each.ClearField("raw_data")
    (tmp_path / "m.bin").write_bytes(content)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    loaded = load_model(tmp_path / "m.onnx")
    canonicalise(loaded)
    np.testing.assert_array_equal(constant(loaded.graph.initializers["m"]), MATRIX)
