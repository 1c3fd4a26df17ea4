"""Context hashes from a lane's history (lane_history.py), one for each context kind of the profile.

Architecture invariant: a hash depends only on the lane's own bytes, its position in the block and the record length,
so that lanes share statistics wherever their contexts are equal.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing.hashing import hash_pair
from arzip.context_mixing.state import (
    CLASSES,
    EXPECTED,
    FIELD,
    FIELD_HASH,
    FIELD_START,
    FIRST,
    FIRST_FIELD,
    KEY,
    LENGTH,
    LINE,
    LINE1,
    OLDER,
    RECENT,
    RECORD_LENGTH,
    RECORD_LENGTH2,
    STEP,
    WORD,
    WORD1,
    WORD2,
)
from arzip.jit import spmd
from arzip.jit.compile import inline_njit


@inline_njit
def hash_contexts(cm, lane):
    """Fill hashes[lane] (C,) uint64: the hash of each context of the profile, its kind included."""
    start = cm.starts[lane]
    position = start + cm.clock[STEP]
    text = cm.text
    recent = uint64(cm.lane[lane, RECENT])
    older = uint64(cm.lane[lane, OLDER])
    c1 = cm.lane[lane, RECENT] & 255
    c2 = (cm.lane[lane, RECENT] >> 8) & 255
    c3 = (cm.lane[lane, RECENT] >> 16) & 255
    c4 = (cm.lane[lane, RECENT] >> 24) & 255
    record_length = cm.clock[RECORD_LENGTH]
    record_length2 = cm.clock[RECORD_LENGTH2]
    above = np.int64(text[position - record_length]) if record_length and position - record_length >= start else 0
    above_left = (
        np.int64(text[position - record_length - 1]) if record_length and position - record_length - 1 >= start else 0
    )
    above2 = (
        np.int64(text[position - 2 * record_length]) if record_length and position - 2 * record_length >= start else 0
    )
    above_next = (
        np.int64(text[position - record_length + 1]) if record_length > 1 and position - record_length >= start else 0
    )
    column = position % record_length if record_length else 0
    other = np.int64(text[position - record_length2]) if record_length2 and position - record_length2 >= start else 0
    other_column = position % record_length2 if record_length2 else 0
    line_column = min(position - cm.lane[lane, LINE], 255)
    line_above = cm.lane[lane, LINE1] + position - cm.lane[lane, LINE]
    byte_above = np.int64(text[line_above]) if line_above < cm.lane[lane, LINE] else 10
    indirect1, indirect2 = np.int64(0), np.int64(0)
    if cm.indirect.shape[1]:
        indirect1 = np.int64(cm.indirect[lane, c1])
        indirect2 = np.int64(cm.indirect[lane, 256 + (c2 << 8 | c1)])
    field = cm.lane[lane, FIELD]
    offset = position - cm.lane[lane, FIELD_START]
    field_byte_above = np.int64(0)  # 1 + the byte at this offset in the same field of the previous line
    if cm.fields.shape[2] and cm.fields[lane, 0, field]:
        field_byte_above = np.int64(text[cm.fields[lane, 0, field] + offset]) + 1
    # One chain of branches: the values above serve several families of kinds, and a split of it is unmeasured.
    for k in range(spmd.member_index(), cm.kinds.size, spmd.member_count()):
        kind = cm.kinds[k]
        h = uint64(0)
        if kind == 0:
            h = uint64(0)
        elif kind < 8:
            h = recent & ((uint64(1) << uint64(8 * kind)) - uint64(1))
        elif kind == 8:
            h = recent
        elif kind == 9:
            h = hash_pair(recent, older & uint64(0xFFFFFFFF))
        elif kind == 10:
            h = uint64(cm.lane[lane, WORD]) + uint64(c1 if cm.lane[lane, WORD] == 0 else 0)
        elif kind == 11:
            h = hash_pair(cm.lane[lane, WORD] + c1 * (cm.lane[lane, WORD] == 0), cm.lane[lane, WORD1])
        elif kind == 12:
            h = hash_pair(cm.lane[lane, WORD], cm.lane[lane, WORD2])
        elif kind == 13:
            h = hash_pair(hash_pair(cm.lane[lane, WORD], cm.lane[lane, WORD1]), cm.lane[lane, WORD2])
        elif kind == 14:
            h = hash_pair(cm.lane[lane, WORD1], c1 << 8 | c2)
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
            h = uint64((record_length << 8 | above) << 16 | column)
        elif kind == 31:
            h = uint64(above << 8 | c1)
        elif kind == 32:
            h = uint64(above << 8 | above2)
        elif kind == 33:
            h = uint64((record_length << 8 | c1) << 16 | column)
        elif kind == 34:
            h = uint64((above << 8 | above_left) << 8 | c1)
        elif kind == 35:
            h = uint64((above + c1 - above_left) & 1023)
        elif kind == 36:
            h = uint64(record_length << 16 | column)
        elif kind == 37:
            h = uint64((other << 8 | c1) << 16 | other_column)
        elif kind == 38:
            h = uint64((above << 8 | above_next) << 8 | c1)
        elif kind == 39:
            h = uint64((above << 8 | c1) << 8 | c2)
        elif kind == 40:
            h = uint64(byte_above << 8 | line_column)
        elif kind == 41:
            h = uint64(byte_above << 8 | c1)
        elif kind == 42:
            h = uint64(cm.lane[lane, FIRST] << 8 | line_column)
        elif kind == 43:
            h = uint64((byte_above << 8 | c1) << 8 | c2)
        elif kind == 44:
            h = uint64(cm.lane[lane, CLASSES])
        elif kind == 45:
            h = hash_pair(cm.lane[lane, CLASSES] & 0o7777, c1)
        elif kind == 46:
            h = uint64(cm.match[lane, 0, EXPECTED] << 8 | min(cm.match[lane, 0, LENGTH], 31))
        elif kind == 47:
            h = uint64(position & 3) << uint64(8) | uint64(c4)
        elif kind == 48:
            h = uint64(((position & 3) << 8 | c1) << 8 | c2)
        elif kind == 49:
            h = hash_pair(cm.lane[lane, FIELD_HASH], field)
        elif kind == 50:
            h = uint64((field_byte_above << 8 | c1) << 8 | min(offset, 255))
        elif kind == 51:
            h = hash_pair(cm.lane[lane, KEY], cm.lane[lane, FIELD_HASH])
        elif kind == 52:
            h = hash_pair(cm.lane[lane, KEY], c1 << 8 | c2)
        elif kind == 53:
            h = uint64(c1 << 24 | indirect1)
        elif kind == 54:
            h = uint64((c1 << 8 | c2) << 24 | indirect2)
        elif kind == 55:
            h = hash_pair(cm.lane[lane, WORD], cm.lane[lane, FIRST_FIELD])
        elif kind == 56:
            h = hash_pair(hash_pair(cm.lane[lane, FIRST_FIELD], field), field_byte_above)
        elif kind == 57:
            h = hash_pair(cm.lane[lane, FIELD_HASH], field_byte_above)
        elif kind == 58:
            h = uint64((((2 * c2 - c4) & 255) << 4 | c1 >> 4) << 1 | position & 1)
        elif kind == 59:
            h = uint64((((2 * c4 - np.int64(recent >> uint64(56))) & 255) << 8 | c1) << 2 | position & 3)
        elif kind == 60:
            h = hash_pair(c1 << 8 | c2, byte_above << 9 | field_byte_above)
        elif kind == 61:
            h = uint64(((indirect2 & 255) << 8 | indirect1 & 255) << 8 | c1)
        elif kind == 62:
            last = cm.min_lengths.size - 1
            h = hash_pair(cm.match[lane, last, EXPECTED] << 8 | min(cm.match[lane, last, LENGTH], 15), c1)
        cm.hashes[lane, k] = hash_pair(h, kind + 1)
