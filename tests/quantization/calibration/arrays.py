"""Streams of arrays to observe."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

VALUES = st.one_of(
    st.just(0.0), st.floats(-4, 4, width=32), st.floats(-(2.0**100), 2.0**100, width=32, allow_nan=False)
)
ARRAYS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=8), elements=VALUES)
STREAMS = st.lists(ARRAYS, min_size=1, max_size=6)


def observe(observer, arrays):
    for array in arrays:
        observer.update(array)
    return observer
