"""The numbers that the payload of an opened block begins with: 'Opened blocks' in docs/FORMAT.md."""

from __future__ import annotations

from dataclasses import dataclass

from arzip.format.varint import VARINT_MAX_BYTES, pack_varint, parse_varint

_NETWORK, _MEMORY, _REPEATS = 1, 2, 4  # bits of an opened block's first number
_COMPONENT_BITS = 3
MAX_OPENED_BYTES = 1 << 27  # recipe and contents of one block
OPENED_FREE_BYTES, OPENED_RATIO = 1 << 20, 256  # and what they may come to for a block of some size
OPENED_MAX_BYTES = 5 * VARINT_MAX_BYTES


def max_opened_bytes(raw_bytes: int) -> int:
    """Bytes that the recipe and the contents of a block of so many raw bytes may have together."""
    return min(MAX_OPENED_BYTES, OPENED_FREE_BYTES + OPENED_RATIO * raw_bytes)


@dataclass(frozen=True)
class OpenedHead:
    """What the payload of an opened block begins with.

    network, memory, repeats: what takes part in coding recipe and contents, and whether long matches are taken out of
    them. streams: how many were opened, corrected: how many of them deviate; deviation_bytes: of all those.
    """

    network: bool
    memory: bool
    repeats: bool
    recipe_bytes: int
    contents_bytes: int
    streams: int
    corrected: int
    deviation_bytes: int

    def pack(self) -> bytes:
        components = _NETWORK * self.network | _MEMORY * self.memory | _REPEATS * self.repeats
        numbers = [self.recipe_bytes << _COMPONENT_BITS | components, self.contents_bytes, self.streams, self.corrected]
        return b"".join(map(pack_varint, numbers + [self.deviation_bytes] * (self.corrected > 0)))

    @classmethod
    def parse(cls, data: bytes, raw_bytes: int) -> tuple[OpenedHead, int]:
        """The head that `data` begins with (OPENED_MAX_BYTES suffice), of a block of `raw_bytes`, and its size.

        Raises ValueError if there is none.
        """
        numbers, at = [], 0
        try:
            for _ in range(4):
                number, at = parse_varint(data, at)
                numbers.append(number)
            first, contents_bytes, streams, corrected = numbers
            deviation_bytes = 0
            if corrected:
                deviation_bytes, at = parse_varint(data, at)
        except IndexError as error:
            raise ValueError("no opened block") from error
        network, memory, repeats = (bool(first & bit) for bit in (_NETWORK, _MEMORY, _REPEATS))
        recipe_bytes = first >> _COMPONENT_BITS
        if not (network or memory) or recipe_bytes + contents_bytes > max_opened_bytes(raw_bytes):
            raise ValueError("an opened block out of bounds")
        if recipe_bytes + contents_bytes == 0 or corrected > streams or deviation_bytes < corrected:
            raise ValueError("more deviations than streams")
        head = cls(network, memory, repeats, recipe_bytes, contents_bytes, streams, corrected, deviation_bytes)
        return head, at
