"""deploy.params: all weights of a plan in one file that csrc/cpu/session.c reads and checks.

Little-endian: 64 bytes of header (magic `OPENWORK`, u32 version, u32 count, u64 plan, u64 checksum of all that
follows the header, u64 file size, 24 zero bytes), count x (u64 offset, u64 bytes), tensors at multiples of 64.
"""

import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

VERSION = 1
_HEADER = struct.Struct("<8sIIQQQ24x")
_BASE = 0x100000001B3
_CHUNK = 1 << 16
_MASK = (1 << 64) - 1
_ALIGNMENT = 64


def pack_params(tensors: Sequence[NDArray[np.generic]], plan_id: int) -> bytes:
    """The bytes of deploy.params.

    Args:
        tensors: C-contiguous arrays, in the order of the plan.
        plan_id: unsigned 64-bit; must be the id in the plan's C source.
    """
    places, offset = [], _align(_HEADER.size + 16 * len(tensors))
    for tensor in tensors:
        places.append((offset, tensor.nbytes))
        offset = _align(offset + tensor.nbytes)
    body = bytearray(offset - _HEADER.size)
    for index, ((start, nbytes), tensor) in enumerate(zip(places, tensors, strict=True)):
        struct.pack_into("<QQ", body, 16 * index, start, nbytes)
        body[start - _HEADER.size : start - _HEADER.size + nbytes] = tensor.tobytes()
    header = _HEADER.pack(b"OPENWORK", VERSION, len(tensors), plan_id, checksum(body), offset)
    return header + bytes(body)


def checksum(body: bytes | bytearray) -> int:
    """The 64-bit words of `body` as digits of a number in base 0x100000001b3, modulo 2^64, as in session.c.

    Any single changed word changes the sum, since the base is odd. The length is a multiple of 8.
    """
    words = np.frombuffer(body, "<u8")
    total = 0
    for start in range(0, len(words), _CHUNK):
        chunk = words[start : start + _CHUNK]
        powers = np.cumprod(np.full(len(chunk), _BASE, np.uint64))
        weighted = int((chunk[:-1] * powers[-2::-1]).sum(dtype=np.uint64)) + int(chunk[-1])
        total = (total * int(powers[-1]) + weighted) & _MASK
    return total


def _align(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT
