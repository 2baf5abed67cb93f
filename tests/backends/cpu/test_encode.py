"""Lists of taps hold exactly the nonzeros."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.backends.cpu.encode import are_small, encode_gather, encode_taps
from tests.backends.cpu.programs import random_sparse

dims = st.integers(1, 9)


def decode(taps, shape, groups, rows, deep):
    """The dense weight over all input planes [out, planes * deep, kh, kw] from its lists."""
    out, per_group, kh, kw = shape
    starts = taps.starts if deep == 1 else taps.starts[::2]  # of the lists, not of their parts
    lists = (len(starts) - 1) // taps.depth
    planes = -(-groups * per_group // deep)
    dense = np.zeros((lists * rows, planes * deep, kh, kw), taps.values.dtype)
    values = taps.values.reshape(len(taps.plane), rows, deep)
    for index in range(len(starts) - 1):
        for k in range(starts[index], starts[index + 1]):
            for r in range(rows):
                for i in range(deep):
                    at = (index % lists * rows + r, taps.plane[k] * deep + i, taps.ky[k], taps.kx[k])
                    assert dense[at] == 0
                    dense[at] = values[k, r, i]
    return dense[:out]


def expand(weight, groups):
    """A grouped weight as the dense one over all input channels that it stands for."""
    out, per_group, kh, kw = weight.shape
    dense = np.zeros((out, groups * per_group, kh, kw), weight.dtype)
    for o in range(out):
        first = o // (out // groups) * per_group
        dense[o, first : first + per_group] = weight[o]
    return dense


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["float32", "int8"]),
    st.sampled_from([1, 4]),
    st.sampled_from([1, 2, 3]),
    dims,
    dims,
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.one_of(st.none(), dims),
    st.sampled_from([0.0, 0.2, 1.0]),
)
def test_taps_are_the_nonzeros(seed, dtype, rows, groups, outs, per_group, kernel, run, density):
    weight = random_sparse(np.random.default_rng(seed), (groups * outs, per_group, *kernel), density, dtype)
    taps = encode_taps(weight, groups, rows, run)
    deep = 1 if dtype == "float32" else 4
    decoded = decode(taps, weight.shape, groups, rows, deep)
    np.testing.assert_array_equal(decoded[:, : groups * per_group], expand(weight, groups))
    assert not decoded[:, groups * per_group :].any()
    if dtype == "int8":
        first = np.searchsorted(taps.starts, np.arange(len(taps.plane)), "right") % 2 == 1
        np.testing.assert_array_equal(are_small(taps.values), first)
    if run is not None and run < -(-groups * per_group // deep):
        depth_of_tap = (
            np.searchsorted(taps.starts[:: (len(taps.starts) - 1) // taps.depth], np.arange(len(taps.plane)), "right")
            - 1
        )
        np.testing.assert_array_equal(depth_of_tap, taps.plane // run)


def test_small_taps_are_those_that_no_bytes_saturate():
    """All pairs of weights, beside pairs that are small: the bytes of the largest sum and of the smallest."""
    w = np.stack(np.meshgrid(*[np.arange(-128, 128)] * 2), -1).reshape(-1, 2)
    extremes = np.stack([np.where(w > 0, 255, 0), np.where(w < 0, 255, 0)])
    sums = (extremes * w).sum(2)
    fits = ((sums >= -(2**15)) & (sums < 2**15)).all(0)
    for place in range(4):
        values = np.tile(np.array([64, 64], np.int8), (len(w), 4, 1))
        values[:, place] = w
        np.testing.assert_array_equal(are_small(values.reshape(-1, 2, 4)), fits)


def test_a_worked_example():
    """Two rows, three inputs: row 0 reads inputs 0 and 2, row 1 reads input 2."""
    weight = np.array([[5, 0, 7], [0, 0, 9]], np.float32)[:, :, None, None]
    single = encode_taps(weight, 1, 1)
    assert single.starts.tolist() == [0, 2, 3]
    assert single.plane.tolist() == [0, 2, 2]
    assert single.values.ravel().tolist() == [5, 7, 9]
    shared = encode_taps(weight, 1, 4)
    assert shared.starts.tolist() == [0, 2]
    assert shared.plane.tolist() == [0, 2]
    assert shared.values.tolist() == [[5, 0, 0, 0], [7, 9, 0, 0]]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["float32", "int8"]), dims, st.integers(1, 80))
def test_gather_rows_multiply_as_the_matrix_does(seed, dtype, outputs, inputs):
    rng = np.random.default_rng(seed)
    weight = random_sparse(rng, (outputs, inputs), 0.4, dtype)
    rows = encode_gather(weight)
    assert all(np.diff(rows.starts.astype(int)) % 16 == 0)
    deep = 1 if dtype == "float32" else 4
    x = np.zeros((-(-inputs // deep), deep))
    x.ravel()[:inputs] = rng.integers(-9, 9, inputs)
    values = rows.values.reshape(len(rows.offsets), deep).astype(float)
    products = (x[rows.offsets] * values).sum(1)
    sums = [products[rows.starts[o] : rows.starts[o + 1]].sum() for o in range(outputs)]
    np.testing.assert_allclose(sums, weight.astype(float) @ x.ravel()[:inputs], rtol=1e-6, atol=1e-5)
