"""Patterns and scores for property tests, ragged edges included."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from openwork.sparsity import NM, Block, Pattern, Unstructured

blocks = st.builds(Block, st.tuples(*[st.integers(1, 5)] * 4))
groups = st.integers(2, 6).flatmap(lambda m: st.builds(NM, st.integers(1, m - 1), st.just(m)))
patterns: st.SearchStrategy[Pattern] = st.builds(Unstructured) | blocks | groups

shapes = st.tuples(*[st.integers(1, 7)] * 4)
scores = st_numpy.arrays(np.float32, shapes, elements=st.floats(-8, 8, width=16))
sparsities = st.floats(0, 1, exclude_max=True)
