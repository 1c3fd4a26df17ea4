"""Bytes taken from front to end, varints and CRC-16 ('Container')."""

from __future__ import annotations

import binascii

from .errors import Damaged


class Parts:
    """Bytes taken from front to end; `error` is raised where they end too early."""

    def __init__(self, data: bytes, at: int = 0, error: type[Exception] = Damaged) -> None:
        self.data, self.at, self.error = data, at, error

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise self.error(f"{size} bytes are asked for where {len(self.data) - self.at} are left")
        self.at += size
        return self.data[self.at - size : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "little")

    def varint(self) -> int:
        """Below 2^28, in 1 to 4 bytes, as short as it can be."""
        value = 0
        for k in range(4):
            byte = self.byte()
            value += (byte & 127) << 7 * k
            if byte < 128:
                if k and byte == 0:
                    break
                return value
        raise Damaged("a varint is longer than it need be")

    def rest(self) -> bytes:
        return self.take(len(self.data) - self.at)

    def is_empty(self) -> bool:
        return self.at == len(self.data)


def crc16(data: bytes) -> int:
    """CRC-16/IBM-3740; the standard library has it as that of BinHex 4, with another start."""
    return binascii.crc_hqx(data, 0xFFFF)


def pack_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
