"""History of a lane: last bytes, words, lines, fields; and detection of the record length, shared by all lanes.

Architecture invariant: a lane's history depends only on its own bytes and its position in the block.
"""

from __future__ import annotations

import numpy as np

from arzip.context_mixing.hashing import hash_pair
from arzip.context_mixing.state import (
    CLASSES,
    FIELD,
    FIELD_HASH,
    FIELD_START,
    FIELDS,
    FIRST,
    FIRST_FIELD,
    KEY,
    LENGTH_VOTES,
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
from arzip.jit.compile import inline_njit, njit

SEPARATORS = b' \t,;|"=:<>()[]'
_SEPARATES = np.isin(np.arange(256), list(SEPARATORS))


@njit(forceinline=True, _nrt=False)
def byte_class(byte):
    """Class of a byte, 0..7: lower case, upper case, digit, blank, line end, non-ASCII, control, or other (0)."""
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
def is_separator(byte):
    """Whether a byte ends a field of a line: one of SEPARATORS."""
    return _SEPARATES[byte]


@inline_njit
def update_indirect(cm, lane, byte):
    """Append `byte`, the newest of RECENT, to the histories of the one-byte and two-byte contexts before it."""
    before = (cm.lane[lane, RECENT] >> 8) & 0xFFFF
    for at in (before & 255, 256 + before):
        cm.indirect[lane, at] = (cm.indirect[lane, at] << 8 | byte) & 0xFFFFFF


@inline_njit
def push_field(cm, lane, byte, position):
    """Update the fields of a line: number, start, hash; KEY, the last word before =, : or >; FIRST_FIELD."""
    if byte == 58 or byte == 61 or byte == 62:
        cm.lane[lane, KEY] = cm.lane[lane, WORD1]
    if byte != 10 and not is_separator(byte):
        cm.lane[lane, FIELD_HASH] = np.int64(hash_pair(cm.lane[lane, FIELD_HASH], byte + 1))
        return
    field = min(cm.lane[lane, FIELD] + 1, FIELDS - 1)
    if byte == 10:
        field = 0
        for f in range(FIELDS):
            cm.fields[lane, 0, f] = cm.fields[lane, 1, f]
            cm.fields[lane, 1, f] = 0
        cm.lane[lane, FIRST_FIELD] = 0
    elif cm.lane[lane, FIRST_FIELD] == 0:
        cm.lane[lane, FIRST_FIELD] = cm.lane[lane, FIELD_HASH]
    cm.lane[lane, FIELD] = field
    cm.lane[lane, FIELD_START] = position + 1
    cm.lane[lane, FIELD_HASH] = 0
    cm.fields[lane, 1, field] = position + 1


@inline_njit
def push_byte(cm, lane, byte):
    """Append `byte`, which stands at the lane's byte `clock[STEP]`, to the lane's history."""
    position = cm.starts[lane] + cm.clock[STEP]
    cm.lane[lane, OLDER] = (cm.lane[lane, OLDER] << 8) | ((cm.lane[lane, RECENT] >> 56) & 255)
    cm.lane[lane, RECENT] = (cm.lane[lane, RECENT] << 8) | byte
    cm.lane[lane, CLASSES] = ((cm.lane[lane, CLASSES] << 3) | byte_class(byte)) & 0o777777
    lower = byte + 32 if 65 <= byte <= 90 else byte
    if 97 <= lower <= 122 or byte >= 128:
        cm.lane[lane, WORD] = np.int64(hash_pair(cm.lane[lane, WORD], lower + 1))
    elif cm.lane[lane, WORD] != 0:
        cm.lane[lane, WORD2] = cm.lane[lane, WORD1]
        cm.lane[lane, WORD1] = cm.lane[lane, WORD]
        cm.lane[lane, WORD] = 0
    if cm.indirect.shape[1]:
        update_indirect(cm, lane, byte)
    if cm.fields.shape[2]:
        push_field(cm, lane, byte, position)
    if byte == 10:
        cm.lane[lane, LINE1] = cm.lane[lane, LINE]
        cm.lane[lane, LINE] = position + 1
    if position == cm.lane[lane, LINE] or byte == 10:
        cm.lane[lane, FIRST] = byte
    # a byte that recurs twice at the same distance votes for that record length
    distance = position + 1 - cm.last_seen[lane, byte, 0]
    if cm.last_seen[lane, byte, 0] > 0 and distance == cm.last_seen[lane, byte, 1] and 1 < distance < LENGTH_VOTES:
        spmd.atomic_add(cm.length_votes, distance, 1)
    cm.last_seen[lane, byte, 0] = position + 1
    cm.last_seen[lane, byte, 1] = distance


@inline_njit
def detect_record_length(cm):
    """Every 256 steps: set the two record lengths with the most votes, weighted by length; decay votes by a quarter."""
    if cm.clock[STEP] & 255 != 0:
        return
    best = 0
    first = 0
    second = 0
    best2 = 0
    for d in range(2, LENGTH_VOTES):
        count = cm.length_votes[d]
        if count:
            score = count * (8 + min(d, 64))
            if score > best:
                second, best2 = first, best
                first, best = d, score
            elif score > best2:
                second, best2 = d, score
            cm.length_votes[d] = count - (count >> 2)
    if best > 600:
        cm.clock[RECORD_LENGTH] = first
    if best2 > 600:
        cm.clock[RECORD_LENGTH2] = second
