"""docs/FORMAT.md, 'Repeats': what was taken out of a block is put back in."""

from __future__ import annotations

from dataclasses import dataclass

from .errors import require
from .parts import Parts


@dataclass
class Match:
    """`gap` bytes of the rest, then `size` bytes that stand `distance` before."""

    gap: int
    size: int
    distance: int


def read_matches(payload: Parts, raw_bytes: int) -> list[Match]:
    """The list before a stream; each match fits into a block of `raw_bytes`."""
    matches, position = [], 0
    for _ in range(payload.varint()):
        match = Match(payload.varint(), payload.varint(), payload.varint())
        position += match.gap
        require(1 <= match.size <= match.distance <= position, "a match of what isn't there")
        position += match.size
        require(position <= raw_bytes, "matches beyond the block")
        matches.append(match)
    return matches


def segments(matches: list[Match], rest_bytes: int) -> list[tuple[int, int, int]]:
    """Of the rest: (begin, end, place of the first byte in the raw block)."""
    found, at, position = [], 0, 0
    for match in matches:
        found.append((at, at + match.gap, position))
        at += match.gap
        position += match.gap + match.size
    return [*found, (at, rest_bytes, position)]


def restore(rest: bytes, matches: list[Match]) -> bytes:
    """The raw block."""
    out, at = bytearray(), 0
    for match in matches:
        out += rest[at : at + match.gap]
        at += match.gap
        begin = len(out) - match.distance
        out += out[begin : begin + match.size]
    return bytes(out) + rest[at:]
