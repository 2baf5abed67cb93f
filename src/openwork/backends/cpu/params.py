"""deploy.params: all weights of a plan in one file that csrc/cpu/session.c reads and checks.

Little-endian: 64 bytes of header (magic `OPENWORK`, u32 version, u32 count, u64 plan, u64 checksum of all that
follows the header, u64 file size, 24 zero bytes), count x (u64 offset, u64 bytes), tensors at multiples of 64.
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

VERSION = 1
_HEADER = struct.Struct("<8sIIQQQ24x")
_BASE = 0x100000001B3
_CHUNK = 1 << 16
_MASK = (1 << 64) - 1
_ALIGNMENT = 64


def write_params(path: Path, tensors: Sequence[NDArray[np.generic]], plan_id: int) -> None:
    """Write deploy.params, without a copy of any tensor.

    Args:
        tensors: C-contiguous arrays, in the order of the plan.
        plan_id: unsigned 64-bit; must be the id in the plan's C source.
    """
    places, offset = [], _align(_HEADER.size + 16 * len(tensors))
    for tensor in tensors:
        places.append((offset, tensor.nbytes))
        offset = _align(offset + tensor.nbytes)
    table = b"".join(struct.pack("<QQ", *place) for place in places)
    header = _HEADER.pack(b"OPENWORK", VERSION, len(tensors), plan_id, checksum(_pieces(table, tensors)), offset)
    with path.open("wb") as file:
        file.write(header)
        for piece in _pieces(table, tensors):
            file.write(piece)


def _pieces(table: bytes, tensors: Iterable[NDArray[np.generic]]) -> Iterator[bytes | memoryview]:
    """All that follows the header, in parts whose lengths are multiples of 8."""
    for content in (np.frombuffer(table, np.uint8), *(tensor.reshape(-1).view(np.uint8) for tensor in tensors)):
        whole = len(content) // 8 * 8
        yield content[:whole].data
        yield content[whole:].tobytes() + bytes(_align(len(content)) - len(content))


def checksum(pieces: Iterable[bytes | memoryview]) -> int:
    """The 64-bit words of all pieces as digits of a number in base 0x100000001b3, modulo 2^64, as in session.c.

    Any single changed word changes the sum, since the base is odd. Each length is a multiple of 8.
    """
    total = 0
    for piece in pieces:
        words = np.frombuffer(piece, "<u8")
        for start in range(0, len(words), _CHUNK):
            chunk = words[start : start + _CHUNK]
            powers = np.cumprod(np.full(len(chunk), _BASE, np.uint64))
            weighted = int((chunk[:-1] * powers[-2::-1]).sum(dtype=np.uint64)) + int(chunk[-1])
            total = (total * int(powers[-1]) + weighted) & _MASK
    return total


def _align(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
