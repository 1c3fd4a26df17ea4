"""Match models: find the longest earlier text, of any lane, that equals a lane's last bytes; predict the byte after it.

Architecture invariant: lookups see positions of earlier steps only; of several positions inserted at one index in a
step, the largest stays.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.context_mixing.hashing import SPREAD
from arzip.context_mixing.state import EXPECTED, LENGTH, MISS_BUCKETS, MISS_HISTORY, POINTER, SIZE, STEP
from arzip.jit import spmd
from arzip.jit.compile import inline_njit, njit, prefetch

MAX_LENGTH = 65535
MAX_VERIFIED = 48  # bytes of a candidate that are compared
MAX_MISSES = 8  # a match is dropped after more misses than this among its last 16 predictions


@njit(forceinline=True, _nrt=False)
def length_bucket(length):
    """Quantise a match length to 0..15; 0: the last prediction was a miss."""
    if length < 16:
        return (length + 1) >> 1
    bucket = 9
    length >>= 5
    while length and bucket < 15:
        bucket += 1
        length >>= 1
    return bucket


@inline_njit
def text_key(cm, position, start, n, size):
    """Hash the n bytes before `position` to an index below `size`, or -1 if the lane has fewer."""
    if position - start < n:
        return -1
    h = uint64(n)
    for i in range(n):
        h = (h + uint64(cm.text[position - 1 - i]) + uint64(1)) * uint64(SPREAD)
        h ^= h >> uint64(31)
    return np.int64((h >> uint64(20)) & uint64(size - 1))


@inline_njit
def prefetch_table(cm, lane, step):
    """Compute the match table's indices (`key`) for a step and prefetch their entries."""
    start, size = cm.starts[lane], cm.match_table.shape[1]
    for k in range(cm.min_lengths.size):
        key = text_key(cm, start + step, start, cm.min_lengths[k], size)
        cm.key[lane, k] = key
        prefetch(cm.match_table, k * size + max(key, 0))


@inline_njit
def advance(cm, lane, byte):
    """Advance each match pointer past `byte`; look for one where there is no match. clock[STEP] is past `byte`."""
    start = cm.starts[lane]
    position = start + cm.clock[STEP]
    text = cm.text
    for k in range(cm.min_lengths.size):
        pointer = cm.match[lane, k, POINTER]
        if pointer > 0:
            hit = np.int64(text[pointer]) == byte
            cm.match[lane, k, LENGTH] = min(cm.match[lane, k, LENGTH] + 1, MAX_LENGTH) if hit else 0
            cm.match[lane, k, MISS_HISTORY] = ((cm.match[lane, k, MISS_HISTORY] << 1) | (0 if hit else 1)) & 0xFFFF
            pointer += 1
        if cm.match[lane, k, LENGTH] < cm.min_lengths[k]:
            key = cm.key[lane, k]
            found = cm.match_table[k, key] if key >= 0 else 0
            if found > 0 and found != pointer:
                length = 0
                while (
                    length < MAX_VERIFIED
                    and position - 1 - length >= start
                    and found - 1 - length >= 0
                    and text[found - 1 - length] == text[position - 1 - length]
                ):
                    length += 1
                if length >= cm.min_lengths[k]:
                    pointer = found
                    cm.match[lane, k, LENGTH] = length
                    cm.match[lane, k, MISS_HISTORY] = 0
            elif found == 0 and pointer > 0 and cm.match[lane, k, LENGTH] == 0:
                history = cm.match[lane, k, MISS_HISTORY]
                misses = 0
                while history:
                    misses += history & 1
                    history >>= 1
                if misses > MAX_MISSES:
                    pointer = 0
        if pointer >= cm.clock[SIZE]:
            pointer = 0
        cm.match[lane, k, POINTER] = pointer
        cm.match[lane, k, EXPECTED] = np.int64(text[pointer]) + 1 if pointer > 0 else 0


@inline_njit
def insert(cm, first, end, single_lane):
    """Insert each lane's position into the match tables. Call after `advance` of all lanes."""
    for merge in range(1 if single_lane else 0, 2):
        spmd.block_barrier()
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            for k in range(spmd.member_index(), cm.min_lengths.size, spmd.member_count()):
                position = cm.starts[lane] + cm.clock[STEP]
                if position & (cm.strides[k] - 1):
                    continue
                key = cm.key[lane, k]
                if key >= 0:
                    if merge:
                        spmd.atomic_max(cm.match_table, (k, key), position)
                    else:
                        cm.match_table[k, key] = 0


@njit(forceinline=True, _nrt=False)
def miss_bucket(history):
    """Quantise a history of misses (bits, newest lowest) to 0..MISS_BUCKETS - 1."""
    recent = history & 3
    return recent | (4 if history & 0xFC else 0)


assert MISS_BUCKETS == 8
