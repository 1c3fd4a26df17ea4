"""Hashed slots of bit histories: 16 bytes for a nibble in a context, found by a check byte.

Architecture invariant: all lanes decide on the table as it was before the step. A slot that several lanes
want to take over is cleared, goes to the largest check byte, and the losers use slot 0, which stays empty.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing import ngram_table as ngrams
from arzip.context_mixing.hashing import mix
from arzip.context_mixing.state import PARTIAL, SLOT_BYTES
from arzip.jit import spmd
from arzip.jit.compile import inlined

TAKE = 256  # flag beside the check byte: the slot is to be taken over


@inlined
def find(memory, lane):  # type: ignore[no-untyped-def]
    """Choose each context's slot for the nibble that comes: a hit, or the less informed of two neighbours."""
    slots = memory.slots
    mask = uint64(slots.size // SLOT_BYTES - 1)
    partial = memory.lane[lane, PARTIAL]
    for c in range(spmd.member_index(), memory.kinds.size, spmd.member_count()):
        h = memory.hashes[lane, c]
        if partial > 1:
            h = mix(h, partial)
        check = np.int64(h >> uint64(56)) | 1
        index = np.int64(h & mask)
        if index < 2:
            index |= 2
        at = index * SLOT_BYTES
        if np.int64(slots[at]) != check:
            other = at ^ SLOT_BYTES
            if np.int64(slots[other]) == check:
                at = other
            else:
                if slots[other + 1] < slots[at + 1]:
                    at = other
                check |= TAKE
                if memory.counted[c]:
                    ngrams.fetch(memory.ngrams, h)
        memory.slot[lane, c] = at
        memory.check[lane, c] = check


@inlined
def claim(memory, first, end):  # type: ignore[no-untyped-def]
    """Take over the slots that `find` chose: clear, then the largest check byte wins, then losers get slot 0.

    What the model file has counted of a winner's context is where its histories start.
    """
    slots = memory.slots
    contexts = memory.kinds.size
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for c in range(spmd.member_index(), contexts, spmd.member_count()):
            if memory.check[lane, c] & TAKE:
                at = memory.slot[lane, c]
                for i in range(SLOT_BYTES):
                    slots[at + i] = 0
    spmd.block_barrier()
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for c in range(spmd.member_index(), contexts, spmd.member_count()):
            check = memory.check[lane, c]
            if check & TAKE:
                at = memory.slot[lane, c]
                spmd.atomic_max(slots, at, check & 255)
    spmd.block_barrier()
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for c in range(spmd.member_index(), contexts, spmd.member_count()):
            check = memory.check[lane, c]
            if np.int64(slots[memory.slot[lane, c]]) != check & 255:
                memory.slot[lane, c] = 0
            elif check & TAKE and memory.counted[c]:
                h = memory.hashes[lane, c]
                partial = memory.lane[lane, PARTIAL]
                ngrams.fill(memory.ngrams, mix(h, partial) if partial > 1 else h, slots, memory.slot[lane, c])
    spmd.block_barrier()
