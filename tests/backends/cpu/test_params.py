"""deploy.params: Python writes what C reads."""

import struct

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from openwork.backends.cpu.params import checksum, write_params


def test_tensors_lie_where_the_places_say(tmp_path):
    tensors = [np.arange(5, dtype=np.float32), np.zeros(0, np.int32), np.arange(70, dtype=np.uint8)]
    write_params(tmp_path / "deploy.params", tensors, 0x1234)
    data = (tmp_path / "deploy.params").read_bytes()
    magic, version, count, plan, total, size = struct.unpack_from("<8sIIQQQ", data)
    assert (magic, version, count, plan, size) == (b"OPENWORK", 1, 3, 0x1234, len(data))
    assert total == checksum([data[64:]])
    for index, tensor in enumerate(tensors):
        offset, nbytes = struct.unpack_from("<QQ", data, 64 + 16 * index)
        assert offset % 64 == 0
        assert data[offset : offset + nbytes] == tensor.tobytes()


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40))
def test_checksum_is_a_number_in_its_base(words):
    total = 0
    for word in words:
        total = (total * 0x100000001B3 + word) % 2**64
    pieces = [words[:3], words[3:7], words[7:]]
    assert checksum(struct.pack(f"<{len(piece)}Q", *piece) for piece in pieces) == total


def test_checksum_over_several_chunks():
    words = np.random.default_rng(0).integers(0, 2**63, 200_000, dtype=np.uint64)
    total = 0
    for word in words.tolist():
        total = (total * 0x100000001B3 + word) % 2**64
    assert checksum([words.tobytes()]) == total
