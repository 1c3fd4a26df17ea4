"""What a lane remembers of the bytes it has seen, and the shared search for a record length.

Architecture invariant: what is here depends only on the lane's own bytes and its place in the block.
"""

from __future__ import annotations

import numpy as np

from arzip.context_mixing.hashing import mix
from arzip.context_mixing.state import (
    CLASSES,
    FIELD,
    FIELD_HASH,
    FIELD_START,
    FIELDS,
    FIRST,
    KEY,
    LINE,
    LINE1,
    LINE_WORD,
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
from arzip.jit import spmd
from arzip.jit.compile import inlined, njit

SEPARATORS = b' \t,;|"=:<>()[]'
_SEPARATES = np.isin(np.arange(256), list(SEPARATORS))


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
def is_separator(byte):  # type: ignore[no-untyped-def]
    """Whether a byte ends a field of a line: one of SEPARATORS."""
    return _SEPARATES[byte]


@inlined
def follow(memory, lane, byte):  # type: ignore[no-untyped-def]
    """Remember that `byte`, the newest of RECENT, has followed the byte and the two bytes before it."""
    before = (memory.lane[lane, RECENT] >> 8) & 0xFFFF
    for at in (before & 255, 256 + before):
        memory.followers[lane, at] = (memory.followers[lane, at] << 8 | byte) & 0xFFFFFF


@inlined
def push_field(memory, lane, byte, place):  # type: ignore[no-untyped-def]
    """Follow the fields of a line: number, text so far; the last name before one of =:> and the line's first field."""
    if byte == 58 or byte == 61 or byte == 62:
        memory.lane[lane, KEY] = memory.lane[lane, WORD1]
    if byte != 10 and not is_separator(byte):
        memory.lane[lane, FIELD_HASH] = np.int64(mix(memory.lane[lane, FIELD_HASH], byte + 1))
        return
    field = min(memory.lane[lane, FIELD] + 1, FIELDS - 1)
    if byte == 10:
        field = 0
        for f in range(FIELDS):
            memory.fields[lane, 0, f] = memory.fields[lane, 1, f]
            memory.fields[lane, 1, f] = 0
        memory.lane[lane, LINE_WORD] = 0
    elif memory.lane[lane, LINE_WORD] == 0:
        memory.lane[lane, LINE_WORD] = memory.lane[lane, FIELD_HASH]
    memory.lane[lane, FIELD] = field
    memory.lane[lane, FIELD_START] = place + 1
    memory.lane[lane, FIELD_HASH] = 0
    memory.fields[lane, 1, field] = place + 1


@inlined
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
    if memory.followers.shape[1]:
        follow(memory, lane, byte)
    if memory.fields.shape[2]:
        push_field(memory, lane, byte, place)
    if byte == 10:
        memory.lane[lane, LINE1] = memory.lane[lane, LINE]
        memory.lane[lane, LINE] = place + 1
    if place == memory.lane[lane, LINE] or byte == 10:
        memory.lane[lane, FIRST] = byte
    # the distance to the last occurrence, twice the same: a vote for a record of that length
    distance = place + 1 - memory.last_seen[lane, byte, 0]
    if memory.last_seen[lane, byte, 0] > 0 and distance == memory.last_seen[lane, byte, 1] and 1 < distance < VOTES:
        spmd.atomic_add(memory.votes, distance, 1)
    memory.last_seen[lane, byte, 0] = place + 1
    memory.last_seen[lane, byte, 1] = distance


@inlined
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
