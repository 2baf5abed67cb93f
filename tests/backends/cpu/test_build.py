"""Results in working memory: what is put in is what is read, and nothing beside it is touched."""

from dataclasses import asdict

import numpy as np
import pytest

from openwork.backends.cpu import StepRecord, read_result, write_result
from openwork.backends.cpu.layout import Planes, turned

GUARD = 64  # bytes before and after


@pytest.mark.parametrize(
    ("shape", "layout"),
    [
        ((2, 3, 5), None),
        ((), None),
        ((2, 3, 4, 5), Planes(2, 3, 4, 5, row=7, lead=9, deep=1)),
        ((7, 5), turned((7, 5), "float32")),
        ((2, 7, 5), turned((2, 7, 5), "float32", 1)),
        ((2, 1, 3, 4, 5), turned((2, 1, 3, 4, 5), "float32", 1)),
    ],
)
def test_a_float_result_is_replaced_in_its_layout(shape: tuple[int, ...], layout: Planes | None) -> None:
    size = 4 * int(np.prod(shape)) if layout is None else layout.nbytes
    arena = np.random.default_rng(0).integers(0, 256, size + 2 * GUARD).astype(np.uint8)
    planes = None if layout is None else asdict(layout)
    record = StepRecord(0, "s", "Softmax", ("f32_softmax",), "y", shape, "float32", GUARD, False, planes)
    before = arena.copy()
    was = read_result(record, arena.ctypes.data)
    value = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    write_result(record, arena.ctypes.data, value)
    np.testing.assert_array_equal(read_result(record, arena.ctypes.data), value)
    assert 0 < (arena != before).sum() <= value.nbytes
    write_result(record, arena.ctypes.data, was)
    np.testing.assert_array_equal(arena, before)
