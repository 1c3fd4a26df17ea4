"""Long repeats of a block, taken out before its lanes are cut and put back after them.

Lanes move side by side, so most of what a lane repeats of another one may not be coded yet when it comes up: the
match models can't see it. A long-range match pass as in lrzip (Kolivas). Must not know models, frames or coders.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import uint64
from numpy.typing import NDArray

from arzip.format.varint import pack_varint, parse_varint
from arzip.jit.compile import njit

LEAST_BYTES = 512  # shorter ones cost the model little more than the copy would
WINDOW_BYTES = 64  # what stands at every multiple of it is remembered
LEAST_SHARE = 1 / 64  # of the block: for less it stays as it is
BASE = 0xD6E8FEB86659FD93  # of the rolling hash, modulo 2**64 (Karp and Rabin 1987)


class Copy(NamedTuple):
    """`size` bytes that follow `gap` others and also stand `distance` bytes before, all of them before the copy."""

    gap: int
    size: int
    distance: int


@njit()
def search(text, table, copies):
    """Find repeats of text (n,) from left to right -> copies (N, 3); how many. table: zeros, a power of two."""
    mask, count, end = uint64(table.size - 1), 0, 0  # end: of the last copy
    top = uint64(1)
    for _ in range(WINDOW_BYTES - 1):
        top *= uint64(BASE)
    h, start, entered = uint64(0), 0, 0
    hashed = False
    while start + WINDOW_BYTES <= text.size and count < len(copies):
        if not hashed:
            h = uint64(0)
            for i in range(WINDOW_BYTES):
                h = h * uint64(BASE) + uint64(text[start + i]) + uint64(1)
            hashed = True
        place = np.int64((h ^ (h >> uint64(29))) * uint64(BASE) >> uint64(32) & mask)
        source = int(table[place]) - 1
        size = 0
        if source >= 0:
            back = 0
            while size < start - source and start + size < text.size and text[source + size] == text[start + size]:
                size += 1
            if size >= WINDOW_BYTES:
                most = min(start - end, source, start - source - size)
                while back < most and text[source - back - 1] == text[start - back - 1]:
                    back += 1
            size += back
            if size >= LEAST_BYTES:
                copies[count, 0], copies[count, 1], copies[count, 2] = start - back - end, size, start - source
                count += 1
                end = start - back + size
                start, entered = end, -(-end // WINDOW_BYTES) * WINDOW_BYTES
                hashed = False
                continue
        if start == entered:
            if source < 0:
                table[place] = start + 1
            entered += WINDOW_BYTES
        if start + WINDOW_BYTES < text.size:
            h = (h - (uint64(text[start]) + uint64(1)) * top) * uint64(BASE)
            h += uint64(text[start + WINDOW_BYTES]) + uint64(1)
        start += 1
    return count


def find(raw: bytes) -> list[Copy]:
    """The long repeats of a block, in order; none where they are too few to matter."""
    text = np.frombuffer(raw, np.uint8)
    found: NDArray[np.int64] = np.zeros((len(raw) // LEAST_BYTES, 3), np.int64)
    table = np.zeros(1 << max(8, (len(raw) // WINDOW_BYTES).bit_length() + 1), np.int32)
    count = search(text, table, found)
    if found[:count, 1].sum() < LEAST_SHARE * len(raw):
        return []
    return [Copy(*map(int, row)) for row in found[:count]]


def take_out(raw: bytes, copies: Sequence[Copy]) -> bytes:
    """What is left of a block without its copies."""
    rest, at = [], 0
    for gap, size, _ in copies:
        rest.append(raw[at : at + gap])
        at += gap + size
    return b"".join([*rest, raw[at:]])


def put_back(rest: bytes, copies: Sequence[Copy]) -> bytes:
    """The inverse of `take_out`."""
    raw, at = bytearray(), 0
    for gap, size, distance in copies:
        raw += rest[at : at + gap]
        at += gap
        first = len(raw) - distance
        raw += raw[first : first + size]
    return bytes(raw + rest[at:])


def pieces(copies: Sequence[Copy], rest_bytes: int) -> list[tuple[int, int, int]]:
    """Of what the copies leave: where each piece begins and ends in the rest, and where it stood in the block."""
    found, at, place = [], 0, 0
    for gap, size, _ in copies:
        found.append((at, at + gap, place))
        at, place = at + gap, place + gap + size
    return [*found, (at, rest_bytes, place)]


def pack(copies: Sequence[Copy]) -> bytes:
    """The copies as varints: how many, then three numbers each."""
    return pack_varint(len(copies)) + b"".join(pack_varint(number) for copy in copies for number in copy)


def parse(data: bytes, raw_bytes: int) -> tuple[list[Copy], int]:
    """Copies that `data` begins with, and where they end. Raises ValueError unless they fit into so many raw bytes."""
    copies, at, done = [], 0, 0
    try:
        count, at = parse_varint(data, 0)
        for _ in range(count):
            gap, at = parse_varint(data, at)
            size, at = parse_varint(data, at)
            distance, at = parse_varint(data, at)
            done += gap
            if not 0 < size <= distance <= done or done + size > raw_bytes:
                raise ValueError("a copy that doesn't fit")
            done += size
            copies.append(Copy(gap, size, distance))
    except IndexError as error:
        raise ValueError("no list of copies") from error
    return copies, at
