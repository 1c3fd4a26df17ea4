"""What a lane has seen -> the hashes of its contexts, and the shared search for a record length.

Architecture invariant: a hash depends only on the lane's own bytes, its place in the block and the record
length, so that lanes share what they learn wherever their contexts are equal.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.compiled import njit
from arzip.memory.spec import (
    CLASSES,
    FIRST,
    LINE,
    LINE1,
    OLDER,
    RECENT,
    ROW,
    ROW2,
    STEP,
    VOTES,
    WORD,
    WORD1,
    WORD2,
)

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: Knuth's multiplicative hashing
SPREAD = 0xD6E8FEB86659FD93


@njit(forceinline=True, _nrt=False)
def mix(a, b):  # type: ignore[no-untyped-def]
    """A well spread uint64 of two."""
    h = (uint64(a) + uint64(GOLDEN)) * uint64(SPREAD)
    h = (h ^ (h >> uint64(29)) ^ uint64(b)) * uint64(GOLDEN)
    return h ^ (h >> uint64(32))


@njit(forceinline=True, _nrt=False)
def byte_class(byte):  # type: ignore[no-untyped-def]
    """A coarse class of a byte, 0..7: what kind of text it belongs to."""
    if 97 <= byte <= 122:
        return 1
    if 65 <= byte <= 90:
        return 2
    if 48 <= byte <= 57:
        return 3
    if byte == 32 or byte == 9:
        return 4
    if byte == 10 or byte == 13:
        return 5
    if byte >= 128:
        return 6
    if byte < 32:
        return 7
    return 0


@njit(forceinline=True, _nrt=False)
def push_byte(memory, lane, byte):  # type: ignore[no-untyped-def]
    """Update a lane's fields with the byte it has just seen, at its place `clock[STEP]`."""
    place = memory.starts[lane] + memory.clock[STEP]
    memory.lane[lane, OLDER] = (memory.lane[lane, OLDER] << 8) | ((memory.lane[lane, RECENT] >> 56) & 255)
    memory.lane[lane, RECENT] = (memory.lane[lane, RECENT] << 8) | byte
    memory.lane[lane, CLASSES] = ((memory.lane[lane, CLASSES] << 3) | byte_class(byte)) & 0o777777
    lower = byte + 32 if 65 <= byte <= 90 else byte
    if 97 <= lower <= 122 or byte >= 128:
        memory.lane[lane, WORD] = np.int64(mix(memory.lane[lane, WORD], lower + 1))
    elif memory.lane[lane, WORD] != 0:
        memory.lane[lane, WORD2] = memory.lane[lane, WORD1]
        memory.lane[lane, WORD1] = memory.lane[lane, WORD]
        memory.lane[lane, WORD] = 0
    if byte == 10:
        memory.lane[lane, LINE1] = memory.lane[lane, LINE]
        memory.lane[lane, LINE] = place + 1
    if place == memory.lane[lane, LINE] or byte == 10:
        memory.lane[lane, FIRST] = byte
    # the distance to the last occurrence, twice the same: a vote for a record of that length
    distance = place + 1 - memory.last_seen[lane, byte, 0]
    if memory.last_seen[lane, byte, 0] > 0 and distance == memory.last_seen[lane, byte, 1] and 1 < distance < VOTES:
        memory.votes[distance] += 1
    memory.last_seen[lane, byte, 0] = place + 1
    memory.last_seen[lane, byte, 1] = distance


@njit(forceinline=True, _nrt=False)
def choose_rows(memory):  # type: ignore[no-untyped-def]
    """Every 256 steps: the two record lengths with most votes, weighted by length; a quarter of the votes goes."""
    if memory.clock[STEP] & 255 != 0:
        return
    best = 0
    first = 0
    second = 0
    best2 = 0
    for d in range(2, VOTES):
        votes = memory.votes[d]
        if votes:
            score = votes * (8 + min(d, 64))
            if score > best:
                second, best2 = first, best
                first, best = d, score
            elif score > best2:
                second, best2 = d, score
            memory.votes[d] = votes - (votes >> 2)
    if best > 600:
        memory.clock[ROW] = first
    if best2 > 600:
        memory.clock[ROW2] = second


@njit(forceinline=True, _nrt=False)
def hash_contexts(memory, lane):  # type: ignore[no-untyped-def]
    """Fill `hashes[lane]`: one uint64 for each context kind of the profile, the kind mixed in."""
    start = memory.starts[lane]
    place = start + memory.clock[STEP]
    text = memory.text
    recent = uint64(memory.lane[lane, RECENT])
    older = uint64(memory.lane[lane, OLDER])
    c1 = memory.lane[lane, RECENT] & 255
    c2 = (memory.lane[lane, RECENT] >> 8) & 255
    c3 = (memory.lane[lane, RECENT] >> 16) & 255
    c4 = (memory.lane[lane, RECENT] >> 24) & 255
    row = memory.clock[ROW]
    row2 = memory.clock[ROW2]
    above = np.int64(text[place - row]) if row and place - row >= start else 0
    above_left = np.int64(text[place - row - 1]) if row and place - row - 1 >= start else 0
    above2 = np.int64(text[place - 2 * row]) if row and place - 2 * row >= start else 0
    above_next = np.int64(text[place - row + 1]) if row > 1 and place - row >= start else 0
    column = place % row if row else 0
    other = np.int64(text[place - row2]) if row2 and place - row2 >= start else 0
    other_column = place % row2 if row2 else 0
    line_column = min(place - memory.lane[lane, LINE], 255)
    line_above = memory.lane[lane, LINE1] + place - memory.lane[lane, LINE]
    over = np.int64(text[line_above]) if line_above < memory.lane[lane, LINE] else 10
    for k in range(memory.kinds.size):
        kind = memory.kinds[k]
        h = uint64(0)
        if kind == 0:
            h = uint64(0)
        elif kind < 8:
            h = recent & ((uint64(1) << uint64(8 * kind)) - uint64(1))
        elif kind == 8:
            h = recent
        elif kind == 9:
            h = mix(recent, older & uint64(0xFFFFFFFF))
        elif kind == 10:
            h = uint64(memory.lane[lane, WORD]) + uint64(c1 if memory.lane[lane, WORD] == 0 else 0)
        elif kind == 11:
            h = mix(memory.lane[lane, WORD] + c1 * (memory.lane[lane, WORD] == 0), memory.lane[lane, WORD1])
        elif kind == 12:
            h = mix(memory.lane[lane, WORD], memory.lane[lane, WORD2])
        elif kind == 13:
            h = mix(mix(memory.lane[lane, WORD], memory.lane[lane, WORD1]), memory.lane[lane, WORD2])
        elif kind == 14:
            h = mix(memory.lane[lane, WORD1], c1 << 8 | c2)
        elif kind == 20:
            h = uint64(c2)
        elif kind == 21:
            h = uint64(c3)
        elif kind == 22:
            h = uint64(c2 << 8 | c3)
        elif kind == 23:
            h = uint64(c1 << 8 | c3)
        elif kind == 24:
            h = uint64(c4)
        elif kind == 25:
            h = uint64(c3 << 8 | c4)
        elif kind == 26:
            h = uint64(c1 << 8 | c4)
        elif kind == 27:
            h = recent & uint64(0xF0F0F0F0)
        elif kind == 28:
            h = recent & uint64(0xF0F0F0F0F0F0)
        elif kind == 29:
            h = (recent >> uint64(8)) & uint64(0xFFFFFF)
        elif kind == 30:
            h = uint64((row << 8 | above) << 16 | column)
        elif kind == 31:
            h = uint64(above << 8 | c1)
        elif kind == 32:
            h = uint64(above << 8 | above2)
        elif kind == 33:
            h = uint64((row << 8 | c1) << 16 | column)
        elif kind == 34:
            h = uint64((above << 8 | above_left) << 8 | c1)
        elif kind == 35:
            h = uint64((above + c1 - above_left) & 1023)
        elif kind == 36:
            h = uint64(row << 16 | column)
        elif kind == 37:
            h = uint64((other << 8 | c1) << 16 | other_column)
        elif kind == 38:
            h = uint64((above << 8 | above_next) << 8 | c1)
        elif kind == 39:
            h = uint64((above << 8 | c1) << 8 | c2)
        elif kind == 40:
            h = uint64(over << 8 | line_column)
        elif kind == 41:
            h = uint64(over << 8 | c1)
        elif kind == 42:
            h = uint64(memory.lane[lane, FIRST] << 8 | line_column)
        elif kind == 43:
            h = uint64((over << 8 | c1) << 8 | c2)
        elif kind == 44:
            h = uint64(memory.lane[lane, CLASSES])
        elif kind == 45:
            h = mix(memory.lane[lane, CLASSES] & 0o7777, c1)
        elif kind == 46:
            h = uint64(memory.match[lane, 0, 3] << 8 | min(memory.match[lane, 0, 1], 31))
        elif kind == 47:
            h = uint64(place & 3) << uint64(8) | uint64(c4)
        elif kind == 48:
            h = uint64(((place & 3) << 8 | c1) << 8 | c2)
        memory.hashes[lane, k] = mix(h, kind + 1)
