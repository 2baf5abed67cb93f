import numpy as np
import pytest

from openwork.errors import ModelError
from openwork.passes import canonicalise
from tests.graphs import graph


def floats(*shape):
    return np.ones(shape, np.float32)


NORM = {"s": floats(4), "b": floats(4), "m": floats(4), "v": floats(4)}
NORMALIZED = "y = BatchNormalization(x, s, b, m, v)"
QUANTIZED = {"q": np.ones((2, 3, 1, 1), np.int8), "s": floats(2)}


@pytest.mark.parametrize(
    ("body", "constants", "reason"),
    [
        ("y = Conv(x, w)", {"w": floats(2, 3, 3, 3)}, "its weight takes 3 channels, its input has 4"),
        ("w = DequantizeLinear<axis=1>(q, s) y = Conv(x, w)", QUANTIZED, r"it has 2 scales along axis 1 of \[2, 3"),
        ("y = Transpose<perm=[0,2,3]>(x)", {}, r"perm \[0, 2, 3\] is no order of the 4 axes of its input"),
        ("y = Transpose<perm=[0,1,2,2]>(x)", {}, r"perm \[0, 1, 2, 2\] is no order"),
        ("y = Transpose<perm=[0,1,2,7]>(x)", {}, "perm"),
        (NORMALIZED, NORM | {"b": floats(0)}, r"'b' has the shape \[0\], and its input has 4 channels"),
        (NORMALIZED, NORM | {"s": floats(3)}, r"'s' has the shape \[3\], and its input has 4 channels"),
        (NORMALIZED, NORM | {"v": floats(4, 1)}, r"(rank|'v' has the shape \[4, 1\])"),
        (NORMALIZED, NORM | {"v": -floats(4)}, "a variance and epsilon add up to -0.99999"),
        ("c = Conv(x, w) " + NORMALIZED.replace("x", "c"), NORM | {"w": floats(4, 4, 1, 1), "m": floats(5)}, "'m'"),
        ("y = InstanceNormalization(x, s, b)", {"s": floats(2), "b": floats(4)}, "(channels|2)"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(body, constants, reason):
    model = graph(f"(float[1,4,8,8] x) => (float[A,B,C,D] y) {{ {body} }}", **constants)
    with pytest.raises(ModelError, match=f"it does not fit its inputs .*{reason}"):
        canonicalise(model)


@pytest.mark.parametrize(
    ("body", "constants"),
    [
        ("y = Transpose(x)", {}),
        ("y = Transpose<perm=[0,3,1,2]>(x)", {}),
        (NORMALIZED, NORM),
        (NORMALIZED, NORM | {"v": 0 * floats(4)}),
        ("y = InstanceNormalization(x, s, b)", {"s": floats(4), "b": floats(4)}),
        ("y = Conv<group=2>(x, w)", {"w": floats(2, 2, 3, 3)}),
    ],
)
def test_what_fits_is_taken(body, constants):
    canonicalise(graph(f"(float[1,4,8,8] x) => (float[A,B,C,D] y) {{ {body} }}", **constants))


def test_parameters_of_one_channel():
    canonicalise(graph(f"(float[5] x) => (float[5] y) {{ {NORMALIZED} }}", **{name: floats(1) for name in NORM}))
