"""What a lane has seen (lane_history.py) -> the hashes of its contexts.

Architecture invariant: a hash depends only on the lane's own bytes, its place in the block and the record
length, so that lanes share what they learn wherever their contexts are equal.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing.hashing import mix
from arzip.context_mixing.state import (
    CLASSES,
    EXPECTED,
    FIELD,
    FIELD_HASH,
    FIELD_START,
    FIRST,
    KEY,
    LENGTH,
    LINE,
    LINE1,
    LINE_WORD,
    OLDER,
    RECENT,
    ROW,
    ROW2,
    STEP,
    WORD,
    WORD1,
    WORD2,
)
from arzip.jit import spmd
from arzip.jit.compile import inlined


@inlined
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
    follow1, follow2 = np.int64(0), np.int64(0)
    if memory.followers.shape[1]:
        follow1 = np.int64(memory.followers[lane, c1])
        follow2 = np.int64(memory.followers[lane, 256 + (c2 << 8 | c1)])
    field = memory.lane[lane, FIELD]
    offset = place - memory.lane[lane, FIELD_START]
    over_field = np.int64(0)  # what stands there in the same field of the line before, plus 1
    if memory.fields.shape[2] and memory.fields[lane, 0, field]:
        over_field = np.int64(text[memory.fields[lane, 0, field] + offset]) + 1
    for k in range(spmd.member_index(), memory.kinds.size, spmd.member_count()):
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
            h = uint64(memory.match[lane, 0, EXPECTED] << 8 | min(memory.match[lane, 0, LENGTH], 31))
        elif kind == 47:
            h = uint64(place & 3) << uint64(8) | uint64(c4)
        elif kind == 48:
            h = uint64(((place & 3) << 8 | c1) << 8 | c2)
        elif kind == 49:
            h = mix(memory.lane[lane, FIELD_HASH], field)
        elif kind == 50:
            h = uint64((over_field << 8 | c1) << 8 | min(offset, 255))
        elif kind == 51:
            h = mix(memory.lane[lane, KEY], memory.lane[lane, FIELD_HASH])
        elif kind == 52:
            h = mix(memory.lane[lane, KEY], c1 << 8 | c2)
        elif kind == 53:
            h = uint64(c1 << 24 | follow1)
        elif kind == 54:
            h = uint64((c1 << 8 | c2) << 24 | follow2)
        elif kind == 55:
            h = mix(memory.lane[lane, WORD], memory.lane[lane, LINE_WORD])
        elif kind == 56:
            h = mix(mix(memory.lane[lane, LINE_WORD], field), over_field)
        elif kind == 57:
            h = mix(memory.lane[lane, FIELD_HASH], over_field)
        elif kind == 58:
            h = uint64((((2 * c2 - c4) & 255) << 4 | c1 >> 4) << 1 | place & 1)
        elif kind == 59:
            h = uint64((((2 * c4 - np.int64(recent >> uint64(56))) & 255) << 8 | c1) << 2 | place & 3)
        elif kind == 60:
            h = mix(c1 << 8 | c2, over << 9 | over_field)
        elif kind == 61:
            h = uint64(((follow2 & 255) << 8 | follow1 & 255) << 8 | c1)
        elif kind == 62:
            last = memory.shortest.size - 1
            h = mix(memory.match[lane, last, EXPECTED] << 8 | min(memory.match[lane, last, LENGTH], 15), c1)
        memory.hashes[lane, k] = mix(h, kind + 1)
