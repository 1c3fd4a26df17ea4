"""Context hashes from a lane's history (lane_history.py), one for each context kind of the profile.

Architecture invariant: a hash depends only on the lane's own bytes, its position in the block and the record length,
so that lanes share statistics wherever their contexts are equal.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

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
def byte_back(cm, lane, distance):
    """The byte that is 1..8 bytes back, 1: the newest; 0 before the lane's first byte."""
    return np.int64(uint64(cm.lane[lane, RECENT]) >> uint64(8 * (distance - 1))) & 255


@inline_njit
def order_hash(cm, lane, kind):
    """Kinds 0..9: the last bytes, 10 to 12 of them for kind 9."""
    recent = uint64(cm.lane[lane, RECENT])
    if kind == 0:
        return uint64(0)
    if kind < 8:
        return recent & ((uint64(1) << uint64(8 * kind)) - uint64(1))
    if kind == 8:
        return recent
    return hash_pair(recent, uint64(cm.lane[lane, OLDER]) & uint64(0xFFFFFFFF))


@inline_njit
def word_hash(cm, lane, kind):
    """Kinds 10..14: this word and those before it."""
    c1, word, word1 = byte_back(cm, lane, 1), cm.lane[lane, WORD], cm.lane[lane, WORD1]
    if kind == 10:
        return uint64(word) + uint64(c1 if word == 0 else 0)
    if kind == 11:
        return hash_pair(word + c1 * (word == 0), word1)
    if kind == 12:
        return hash_pair(word, cm.lane[lane, WORD2])
    if kind == 13:
        return hash_pair(hash_pair(word, word1), cm.lane[lane, WORD2])
    return hash_pair(word1, c1 << 8 | byte_back(cm, lane, 2))


@inline_njit
def sparse_hash(cm, lane, kind):
    """Kinds 20..29: some of the last bytes, or some bits of each."""
    recent = uint64(cm.lane[lane, RECENT])
    c1, c2, c3, c4 = byte_back(cm, lane, 1), byte_back(cm, lane, 2), byte_back(cm, lane, 3), byte_back(cm, lane, 4)
    if kind == 20:
        return uint64(c2)
    if kind == 21:
        return uint64(c3)
    if kind == 22:
        return uint64(c2 << 8 | c3)
    if kind == 23:
        return uint64(c1 << 8 | c3)
    if kind == 24:
        return uint64(c4)
    if kind == 25:
        return uint64(c3 << 8 | c4)
    if kind == 26:
        return uint64(c1 << 8 | c4)
    if kind == 27:
        return recent & uint64(0xF0F0F0F0)
    if kind == 28:
        return recent & uint64(0xF0F0F0F0F0F0)
    return (recent >> uint64(8)) & uint64(0xFFFFFF)


@inline_njit
def byte_of_row(cm, lane, row, distance):
    """The byte `distance` back if the record length `row` is known and the lane reaches so far, else 0."""
    at = cm.starts[lane] + cm.clock[STEP] - distance
    return np.int64(cm.text[at]) if row and at >= cm.starts[lane] else 0


@inline_njit
def record_hash(cm, lane, kind):
    """Kinds 30..39: bytes above in records of the detected lengths, and the column."""
    row, row2 = cm.clock[RECORD_LENGTH], cm.clock[RECORD_LENGTH2]
    position = cm.starts[lane] + cm.clock[STEP]
    c1, above, column = byte_back(cm, lane, 1), byte_of_row(cm, lane, row, row), position % row if row else 0
    if kind == 30:
        return uint64((row << 8 | above) << 16 | column)
    if kind == 31:
        return uint64(above << 8 | c1)
    if kind == 32:
        return uint64(above << 8 | byte_of_row(cm, lane, row, 2 * row))
    if kind == 33:
        return uint64((row << 8 | c1) << 16 | column)
    if kind == 34:
        return uint64((above << 8 | byte_of_row(cm, lane, row, row + 1)) << 8 | c1)
    if kind == 35:
        return uint64((above + c1 - byte_of_row(cm, lane, row, row + 1)) & 1023)
    if kind == 36:
        return uint64(row << 16 | column)
    if kind == 37:
        return uint64((byte_of_row(cm, lane, row2, row2) << 8 | c1) << 16 | (position % row2 if row2 else 0))
    if kind == 38:
        above_next = np.int64(cm.text[position - row + 1]) if row > 1 and position - row >= cm.starts[lane] else 0
        return uint64((above << 8 | above_next) << 8 | c1)
    return uint64((above << 8 | c1) << 8 | byte_back(cm, lane, 2))


@inline_njit
def byte_of_line_above(cm, lane):
    """The byte at this column of the previous line; 10, a line end, if that is shorter."""
    line_above = cm.lane[lane, LINE1] + cm.starts[lane] + cm.clock[STEP] - cm.lane[lane, LINE]
    return np.int64(cm.text[line_above]) if line_above < cm.lane[lane, LINE] else 10


@inline_njit
def line_hash(cm, lane, kind):
    """Kinds 40..45: bytes above, the line's first byte, the column, classes of the last bytes."""
    c1, byte_above = byte_back(cm, lane, 1), byte_of_line_above(cm, lane)
    column = min(cm.starts[lane] + cm.clock[STEP] - cm.lane[lane, LINE], 255)
    if kind == 40:
        return uint64(byte_above << 8 | column)
    if kind == 41:
        return uint64(byte_above << 8 | c1)
    if kind == 42:
        return uint64(cm.lane[lane, FIRST] << 8 | column)
    if kind == 43:
        return uint64((byte_above << 8 | c1) << 8 | byte_back(cm, lane, 2))
    if kind == 44:
        return uint64(cm.lane[lane, CLASSES])
    return hash_pair(cm.lane[lane, CLASSES] & 0o7777, c1)


@inline_njit
def position_hash(cm, lane, kind):
    """Kinds 47, 48, 58, 59: the position modulo 2 or 4, and bytes of samples of two or four bytes."""
    position = cm.starts[lane] + cm.clock[STEP]
    c1, c2, c4 = byte_back(cm, lane, 1), byte_back(cm, lane, 2), byte_back(cm, lane, 4)
    if kind == 47:
        return uint64(position & 3) << uint64(8) | uint64(c4)
    if kind == 48:
        return uint64(((position & 3) << 8 | c1) << 8 | c2)
    if kind == 58:
        return uint64((((2 * c2 - c4) & 255) << 4 | c1 >> 4) << 1 | position & 1)
    return uint64((((2 * c4 - byte_back(cm, lane, 8)) & 255) << 8 | c1) << 2 | position & 3)


@inline_njit
def field_hash(cm, lane, kind):
    """Kinds 49..52, 55..57, 60: the field of the line, its key, and the same field of the previous line."""
    c1, c2, field = byte_back(cm, lane, 1), byte_back(cm, lane, 2), cm.lane[lane, FIELD]
    offset = cm.starts[lane] + cm.clock[STEP] - cm.lane[lane, FIELD_START]
    field_byte_above = np.int64(0)  # 1 + the byte at this offset in the same field of the previous line
    if cm.fields.shape[2] and cm.fields[lane, 0, field]:
        field_byte_above = np.int64(cm.text[cm.fields[lane, 0, field] + offset]) + 1
    if kind == 49:
        return hash_pair(cm.lane[lane, FIELD_HASH], field)
    if kind == 50:
        return uint64((field_byte_above << 8 | c1) << 8 | min(offset, 255))
    if kind == 51:
        return hash_pair(cm.lane[lane, KEY], cm.lane[lane, FIELD_HASH])
    if kind == 52:
        return hash_pair(cm.lane[lane, KEY], c1 << 8 | c2)
    if kind == 55:
        return hash_pair(cm.lane[lane, WORD], cm.lane[lane, FIRST_FIELD])
    if kind == 56:
        return hash_pair(hash_pair(cm.lane[lane, FIRST_FIELD], field), field_byte_above)
    if kind == 57:
        return hash_pair(cm.lane[lane, FIELD_HASH], field_byte_above)
    return hash_pair(c1 << 8 | c2, byte_of_line_above(cm, lane) << 9 | field_byte_above)


@inline_njit
def indirect_hash(cm, lane, kind):
    """Kinds 53, 54, 61: the bytes that followed the last byte, or the last two, before."""
    c1, c2, indirect1, indirect2 = byte_back(cm, lane, 1), byte_back(cm, lane, 2), np.int64(0), np.int64(0)
    if cm.indirect.shape[1]:
        indirect1 = np.int64(cm.indirect[lane, c1])
        indirect2 = np.int64(cm.indirect[lane, 256 + (c2 << 8 | c1)])
    if kind == 53:
        return uint64(c1 << 24 | indirect1)
    if kind == 54:
        return uint64((c1 << 8 | c2) << 24 | indirect2)
    return uint64(((indirect2 & 255) << 8 | indirect1 & 255) << 8 | c1)


@inline_njit
def match_hash(cm, lane, kind):
    """Kinds 46 and 62: the byte that the first, or the last, match model expects, and the length of its match."""
    if kind == 46:
        return uint64(cm.match[lane, 0, EXPECTED] << 8 | min(cm.match[lane, 0, LENGTH], 31))
    last = cm.min_lengths.size - 1
    expected = cm.match[lane, last, EXPECTED] << 8 | min(cm.match[lane, last, LENGTH], 15)
    return hash_pair(expected, byte_back(cm, lane, 1))


@inline_njit
def hash_contexts(cm, lane):
    """Fill hashes[lane] (C,) uint64: the hash of each context of the profile, its kind included."""
    for k in range(spmd.member_index(), cm.kinds.size, spmd.member_count()):
        kind = cm.kinds[k]
        if kind < 10:
            h = order_hash(cm, lane, kind)
        elif kind < 20:
            h = word_hash(cm, lane, kind)
        elif kind < 30:
            h = sparse_hash(cm, lane, kind)
        elif kind < 40:
            h = record_hash(cm, lane, kind)
        elif kind < 46:
            h = line_hash(cm, lane, kind)
        elif kind in (46, 62):
            h = match_hash(cm, lane, kind)
        elif kind in (47, 48, 58, 59):
            h = position_hash(cm, lane, kind)
        elif kind in (53, 54, 61):
            h = indirect_hash(cm, lane, kind)
        else:
            h = field_hash(cm, lane, kind)
        cm.hashes[lane, k] = hash_pair(h, kind + 1)
