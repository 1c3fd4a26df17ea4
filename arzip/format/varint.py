"""Integers of 28 bits in 1 to 4 bytes, as frames, end records and lists of long matches hold them."""

from __future__ import annotations

VARINT_MAX_BYTES = 4


def pack_varint(value: int) -> bytes:
    """0 <= value < 2**28 -> 1 to 4 bytes, 7 bits each, least significant first, the top bit set on all but the last."""
    assert 0 <= value < 1 << 7 * VARINT_MAX_BYTES, value
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def parse_varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, offset after it). Raises IndexError if `data` ends inside, ValueError if it is longer than necessary."""
    value = 0
    for i in range(VARINT_MAX_BYTES):
        byte = data[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            if byte == 0 and i > 0:
                raise ValueError("varint not minimal")
            return value, at + i + 1
    raise ValueError("varint too long")
