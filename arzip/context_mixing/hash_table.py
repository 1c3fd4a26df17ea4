"""Hash table of bit-history states: slots of 16 bytes, a checksum and 15 states for a nibble in a context.

Architecture invariant: all lanes decide on the table as it was before the step. A slot that several lanes replace is
cleared and goes to the largest checksum; the others use slot 0, which stays empty.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.context_mixing import ngram_table
from arzip.context_mixing.hashing import hash_pair
from arzip.context_mixing.state import PARTIAL, SLOT_BYTES
from arzip.jit import spmd
from arzip.jit.compile import inline_njit

REPLACE = 256  # flag above the checksum: the slot will be replaced


@inline_njit
def find_slots(cm, lane):
    """Find each context's slot for the next nibble: a hit, else the neighbour with less history, to be replaced."""
    slots = cm.slots
    mask = uint64(slots.size // SLOT_BYTES - 1)
    partial = cm.lane[lane, PARTIAL]
    for c in range(spmd.member_index(), cm.kinds.size, spmd.member_count()):
        h = cm.hashes[lane, c]
        if partial > 1:
            h = hash_pair(h, partial)
        checksum = np.int64(h >> uint64(56)) | 1
        index = np.int64(h & mask)
        if index < 2:
            index |= 2
        at = index * SLOT_BYTES
        if np.int64(slots[at]) != checksum:
            other = at ^ SLOT_BYTES
            if np.int64(slots[other]) == checksum:
                at = other
            else:
                if slots[other + 1] < slots[at + 1]:
                    at = other
                checksum |= REPLACE
                if cm.has_prior[c]:
                    ngram_table.prefetch_row(cm.ngrams, h)
        cm.slot[lane, c] = at
        cm.checksum[lane, c] = checksum


@inline_njit
def replace_slots(cm, first, end):
    """Replace the slots that `find_slots` marked: the largest checksum stays, other lanes use slot 0.

    A replaced slot starts from the states of the n-gram table, if this holds its context.
    """
    slots = cm.slots
    contexts = cm.kinds.size
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for c in range(spmd.member_index(), contexts, spmd.member_count()):
            if cm.checksum[lane, c] & REPLACE:
                at = cm.slot[lane, c]
                for i in range(SLOT_BYTES):
                    slots[at + i] = 0
    spmd.block_barrier()
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for c in range(spmd.member_index(), contexts, spmd.member_count()):
            checksum = cm.checksum[lane, c]
            if checksum & REPLACE:
                at = cm.slot[lane, c]
                spmd.atomic_max(slots, at, checksum & 255)
    spmd.block_barrier()
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for c in range(spmd.member_index(), contexts, spmd.member_count()):
            checksum = cm.checksum[lane, c]
            if np.int64(slots[cm.slot[lane, c]]) != checksum & 255:
                cm.slot[lane, c] = 0
            elif checksum & REPLACE and cm.has_prior[c]:
                h = cm.hashes[lane, c]
                partial = cm.lane[lane, PARTIAL]
                ngram_table.fill_slot(cm.ngrams, hash_pair(h, partial) if partial > 1 else h, slots, cm.slot[lane, c])
    spmd.block_barrier()
