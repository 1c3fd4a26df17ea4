"""The numbers that the payload of an opened block begins with: 'Opened blocks' in docs/FORMAT.md."""

from __future__ import annotations

from dataclasses import dataclass

from arzip.format.varint import VARINT_MAX_BYTES, pack_varint, parse_varint

_NETWORK, _MEMORY, _REPEATS = 1, 2, 4  # bits of an opened block's first number
_COMPONENT_BITS, _ALL = 3, 7
MAX_OPENED_BYTES = 1 << 27  # recipe and contents of one block
OPENED_FREE_BYTES, OPENED_RATIO = 1 << 20, 256  # and what they may come to for a block of some size
OPENED_MAX_BYTES = 6 * VARINT_MAX_BYTES


def max_opened_bytes(raw_bytes: int) -> int:
    """Bytes that the recipe and the contents of a block of so many raw bytes may have together."""
    return min(MAX_OPENED_BYTES, OPENED_FREE_BYTES + OPENED_RATIO * raw_bytes)


@dataclass(frozen=True)
class OpenedHead:
    """What the payload of an opened block begins with.

    network, memory, repeats: what takes part in coding recipe and contents, and whether long matches are taken out of
    them. streams: how many were opened, corrected: how many of them deviate; deviation_bytes: of all those.
    picture_bytes: of the stream of pictures coded apart, 0: there is none.
    """

    network: bool
    memory: bool
    repeats: bool
    recipe_bytes: int
    contents_bytes: int
    streams: int
    corrected: int
    deviation_bytes: int
    picture_bytes: int = 0

    def pack(self) -> bytes:
        components = _NETWORK * self.network | _MEMORY * self.memory | _REPEATS * self.repeats
        first = [self.recipe_bytes << _COMPONENT_BITS | components]
        if self.picture_bytes:
            first = [self.recipe_bytes << _COMPONENT_BITS, self.picture_bytes << _COMPONENT_BITS | components]
        numbers = [*first, self.contents_bytes, self.streams, self.corrected]
        return b"".join(map(pack_varint, numbers + [self.deviation_bytes] * (self.corrected > 0)))

    @classmethod
    def parse(cls, data: bytes, raw_bytes: int) -> tuple[OpenedHead, int]:
        """The head that `data` begins with (OPENED_MAX_BYTES suffice), of a block of `raw_bytes`, and its size.

        Raises ValueError if there is none.
        """
        numbers, at = [], 0
        try:
            first, at = parse_varint(data, at)
            components, recipe_bytes, picture_bytes = first & _ALL, first >> _COMPONENT_BITS, 0
            if not components:
                second, at = parse_varint(data, at)
                components, picture_bytes = second & _ALL, second >> _COMPONENT_BITS
            for _ in range(3):
                number, at = parse_varint(data, at)
                numbers.append(number)
            contents_bytes, streams, corrected = numbers
            deviation_bytes = 0
            if corrected:
                deviation_bytes, at = parse_varint(data, at)
        except IndexError as error:
            raise ValueError("no opened block") from error
        network, memory, repeats = (bool(components & bit) for bit in (_NETWORK, _MEMORY, _REPEATS))
        if not (network or memory) or recipe_bytes + contents_bytes > max_opened_bytes(raw_bytes):
            raise ValueError("an opened block out of bounds")
        if not first & _ALL and not picture_bytes:
            raise ValueError("an empty stream of pictures")
        if recipe_bytes + contents_bytes == 0 or corrected > streams or deviation_bytes < corrected:
            raise ValueError("more deviations than streams")
        counts = (recipe_bytes, contents_bytes, streams, corrected, deviation_bytes, picture_bytes)
        return cls(network, memory, repeats, *counts), at
