"""Files to read and how tests read them."""

import numpy as np
import pytest
from PIL import Image

from openwork.errors import DataError
from openwork.frontends import TensorSpec, read_batches

X = TensorSpec("x", (2, 3), "float32")
IMAGE = TensorSpec("image", (1, 3, 4, 6), "float32")
TWO = (TensorSpec("a", (1, 2), "float32"), TensorSpec("b", (1,), "int64"))


def rows(count, start=0):
    return np.arange(start * 3, (start + count) * 3, dtype=np.float32).reshape(count, 3)


def write(path, array):
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix == ".bin":
        array.tofile(path)
    else:
        np.savez(path, x=array)
    return str(path)


def read(*specs, inputs=(X,), **options):
    return list(read_batches(specs, inputs, **options))


def picture(path, color, size=(6, 4), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path)
    return path


def refused(reason, *specs, inputs=(X,), **options):
    with pytest.raises(DataError, match=reason) as caught:
        read(*map(str, specs), inputs=inputs, **options)
    assert "\n" not in str(caught.value)
