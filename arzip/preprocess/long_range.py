"""Long-distance matches of a block, extracted before its lanes are cut and restored after decoding.

Lanes are coded in parallel, so text that a lane repeats from another one may not be coded yet, and the match models
can't find it. What one lane repeats, the models would find, but only after computing every bit of it. As the long-
range pass of lrzip (Kolivas) and zstd --long. Must not import models or coders.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from arzip.format.varint import pack_varint, parse_varint
from arzip.jit.compile import njit

MIN_MATCH_BYTES = 512  # shorter repeats cost the model little more than the match itself
WINDOW_BYTES = 64  # of the rolling hash; the table holds windows at multiples of it
MIN_SHARE = 1 / 64  # of the block; below that no matches are extracted
BASE = 0xD6E8FEB86659FD93  # of the rolling hash, modulo 2**64 (Karp and Rabin 1987)


class LongMatch(NamedTuple):
    """`size` bytes that follow `gap` others and also stand `distance` bytes before, all of them before the match."""

    gap: int
    size: int
    distance: int


@njit()
def search(text, table, matches, min_bytes):
    """Find matches of at least min_bytes in text (n,), from left to right -> matches (N, 3); returns how many.

    min_bytes: WINDOW_BYTES or more. table: 2**k zeros.
    """
    mask, count, end = uint64(table.size - 1), 0, 0  # end: of the last match
    top = uint64(1)
    for _ in range(WINDOW_BYTES - 1):
        top *= uint64(BASE)
    h, start, inserted = uint64(0), 0, 0
    hashed = False
    while start + WINDOW_BYTES <= text.size and count < len(matches):
        if not hashed:
            h = uint64(0)
            for i in range(WINDOW_BYTES):
                h = h * uint64(BASE) + uint64(text[start + i]) + uint64(1)
            hashed = True
        slot = np.int64((h ^ (h >> uint64(29))) * uint64(BASE) >> uint64(32) & mask)
        source = int(table[slot]) - 1
        size = 0
        if source >= 0:
            back = 0
            while size < start - source and start + size < text.size and text[source + size] == text[start + size]:
                size += 1
            if size >= WINDOW_BYTES:
                limit = min(start - end, source, start - source - size)
                while back < limit and text[source - back - 1] == text[start - back - 1]:
                    back += 1
            size += back
            if size >= min_bytes:
                matches[count, 0], matches[count, 1], matches[count, 2] = start - back - end, size, start - source
                count += 1
                end = start - back + size
                start, inserted = end, -(-end // WINDOW_BYTES) * WINDOW_BYTES
                hashed = False
                continue
        if start == inserted:
            if source < 0:
                table[slot] = start + 1
            inserted += WINDOW_BYTES
        if start + WINDOW_BYTES < text.size:
            h = (h - (uint64(text[start]) + uint64(1)) * top) * uint64(BASE)
            h += uint64(text[start + WINDOW_BYTES]) + uint64(1)
        start += 1
    return count


def find(raw: bytes, min_bytes: int = MIN_MATCH_BYTES) -> list[LongMatch]:
    """The matches of at least min_bytes of a block, in order; none where they cover too little of it."""
    text = np.frombuffer(raw, np.uint8)
    found: NDArray[np.int64] = np.zeros((len(raw) // min_bytes, 3), np.int64)
    table = np.zeros(1 << max(8, (len(raw) // WINDOW_BYTES).bit_length() + 1), np.int32)
    count = search(text, table, found, min_bytes)
    if found[:count, 1].sum() < MIN_SHARE * len(raw):
        return []
    return [LongMatch(*map(int, row)) for row in found[:count]]


def extract(raw: bytes, matches: Sequence[LongMatch]) -> bytes:
    """The bytes of a block that no match covers: the rest."""
    rest, at = [], 0
    for gap, size, _ in matches:
        rest.append(raw[at : at + gap])
        at += gap + size
    return b"".join([*rest, raw[at:]])


def restore(rest: bytes, matches: Sequence[LongMatch]) -> bytes:
    """The inverse of `extract`."""
    raw, at = bytearray(), 0
    for gap, size, distance in matches:
        raw += rest[at : at + gap]
        at += gap
        first = len(raw) - distance
        raw += raw[first : first + size]
    return bytes(raw + rest[at:])


def segments(matches: Sequence[LongMatch], rest_bytes: int) -> Iterator[tuple[int, int, int]]:
    """The parts of the rest between matches: start and end of each in the rest, and its position in the block."""
    at = position = 0
    for gap, size, _ in matches:
        yield at, at + gap, position
        at, position = at + gap, position + gap + size
    yield at, rest_bytes, position


def pack(matches: Sequence[LongMatch]) -> bytes:
    """The matches as varints: their number, then gap, size and distance of each."""
    return pack_varint(len(matches)) + b"".join(pack_varint(number) for match in matches for number in match)


class MatchArray(Sequence[LongMatch]):
    """Matches in 12 bytes each: an archive may name a million of them."""

    def __init__(self) -> None:
        self._numbers = array("I")

    def append(self, match: tuple[int, int, int]) -> None:
        self._numbers.extend(match)

    def __len__(self) -> int:
        return len(self._numbers) // 3

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        return LongMatch(*self._numbers[3 * place : 3 * place + 3])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)


def parse(data: bytes, raw_bytes: int) -> tuple[MatchArray, int]:
    """The matches that `data` begins with, and the offset after them. Raises ValueError if they exceed raw_bytes."""
    matches, at, done = MatchArray(), 0, 0
    try:
        count, at = parse_varint(data, 0)
        for _ in range(count):
            gap, at = parse_varint(data, at)
            size, at = parse_varint(data, at)
            distance, at = parse_varint(data, at)
            done += gap
            if not 0 < size <= distance <= done or done + size > raw_bytes:
                raise ValueError("a match that doesn't fit")
            done += size
            matches.append((gap, size, distance))
    except IndexError as error:
        raise ValueError("no list of matches") from error
    return matches, at
