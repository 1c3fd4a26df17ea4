"""Match models: the longest earlier text, in any lane, that ends like a lane's own, and what followed it there.

Architecture invariant: lookups see the positions of earlier steps only; what the lanes of a step enter is
merged by the largest position.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing.hashing import SPREAD
from arzip.context_mixing.state import EXPECTED, LENGTH, MATCH_RECORDS, POINTER, RECORD, STEP
from arzip.jit import spmd
from arzip.jit.compile import inlined, njit, prefetch

LONGEST = 65535
VERIFIED = 48  # a found match is compared with the lane's own text up to this length
GIVE_UP = 8  # misses among the last 16 predictions that end an unlucky match


@njit(forceinline=True, _nrt=False)
def length_bucket(length):  # type: ignore[no-untyped-def]
    """0 for a match that has just failed, up to 15."""
    if length < 16:
        return (length + 1) >> 1
    bucket = 9
    length >>= 5
    while length and bucket < 15:
        bucket += 1
        length >>= 1
    return bucket


@inlined
def text_key(memory, place, start, n, size):  # type: ignore[no-untyped-def]
    """Index of the last n bytes before `place` in a table of `size` entries, or -1 at the start of a lane."""
    if place - start < n:
        return -1
    h = uint64(n)
    for i in range(n):
        h = (h + uint64(memory.text[place - 1 - i]) + uint64(1)) * uint64(SPREAD)
        h ^= h >> uint64(31)
    return np.int64((h >> uint64(20)) & uint64(size - 1))


@inlined
def fetch(memory, lane, step):  # type: ignore[no-untyped-def]
    """Find where the table of recent places names the lane's last bytes before a step, and have that fetched."""
    start, size = memory.starts[lane], memory.recent.shape[1]
    for k in range(memory.shortest.size):
        key = text_key(memory, start + step, start, memory.shortest[k], size)
        memory.key[lane, k] = key
        prefetch(memory.recent, k * size + max(key, 0))


@inlined
def follow(memory, lane, byte):  # type: ignore[no-untyped-def]
    """Move each match past `byte`; where there is none, look for one. `clock[STEP]` counts `byte` already."""
    start = memory.starts[lane]
    place = start + memory.clock[STEP]
    text = memory.text
    for k in range(memory.shortest.size):
        pointer = memory.match[lane, k, POINTER]
        if pointer > 0:
            hit = np.int64(text[pointer]) == byte
            memory.match[lane, k, LENGTH] = min(memory.match[lane, k, LENGTH] + 1, LONGEST) if hit else 0
            memory.match[lane, k, RECORD] = ((memory.match[lane, k, RECORD] << 1) | (0 if hit else 1)) & 0xFFFF
            pointer += 1
        if memory.match[lane, k, LENGTH] < memory.shortest[k]:
            key = memory.key[lane, k]
            found = memory.recent[k, key] if key >= 0 else 0
            if found > 0 and found != pointer:
                length = 0
                while (
                    length < VERIFIED
                    and place - 1 - length >= start
                    and found - 1 - length >= 0
                    and text[found - 1 - length] == text[place - 1 - length]
                ):
                    length += 1
                if length >= memory.shortest[k]:
                    pointer = found
                    memory.match[lane, k, LENGTH] = length
                    memory.match[lane, k, RECORD] = 0
            elif found == 0 and pointer > 0 and memory.match[lane, k, LENGTH] == 0:
                record = memory.match[lane, k, RECORD]
                misses = 0
                while record:
                    misses += record & 1
                    record >>= 1
                if misses > GIVE_UP:
                    pointer = 0
        if pointer >= memory.text.size - 8:
            pointer = 0
        memory.match[lane, k, POINTER] = pointer
        memory.match[lane, k, EXPECTED] = np.int64(text[pointer]) + 1 if pointer > 0 else 0


@inlined
def enter(memory, first, end, alone):  # type: ignore[no-untyped-def]
    """Remember where each lane's last bytes stand; called after every lane has looked."""
    for merge in range(1 if alone else 0, 2):
        spmd.block_barrier()
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            for k in range(spmd.member_index(), memory.shortest.size, spmd.member_count()):
                place = memory.starts[lane] + memory.clock[STEP]
                if place & (memory.strides[k] - 1):
                    continue
                key = memory.key[lane, k]
                if key >= 0:
                    if merge:
                        spmd.atomic_max(memory.recent, (k, key), place)
                    else:
                        memory.recent[k, key] = 0


@njit(forceinline=True, _nrt=False)
def record_bucket(record):  # type: ignore[no-untyped-def]
    """The last predictions' successes, newest first, as 0..MATCH_RECORDS - 1."""
    recent = record & 3
    return recent | (4 if record & 0xFC else 0)


assert MATCH_RECORDS == 8
