"""docs/FORMAT.md, 'Range coder'."""

from __future__ import annotations

from .numbers import WRAP


class RangeDecoder:
    """A stream, bit by bit."""

    def __init__(self, stream: bytes) -> None:
        self.stream, self.next = stream, 0
        self.range = WRAP
        self.offset = self.word() << 32
        self.offset += self.word()

    def word(self) -> int:
        self.next += 4
        return int.from_bytes(self.stream[self.next - 4 : self.next].ljust(4, b"\0"), "big")

    def bit(self, p: int) -> int:
        """p: the probability of a 1, Q22."""
        q = 4 * p + (1 if p < 1 << 21 else 0)
        scale = self.range >> 24
        split = scale * ((1 << 24) - q)
        bit = int(self.offset >= split)
        if bit:
            self.offset -= split
            self.range = scale * q
        else:
            self.range = split
        if self.range < 1 << 32:
            self.range <<= 32
            self.offset = (self.offset << 32) + self.word()
        return bit
