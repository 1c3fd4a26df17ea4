"""Run models: the byte that last followed a context and how often in a row (the run model of PAQ's context maps).

Architecture invariant: a lane looks an entry up before its byte; of several entries that a step's lanes insert at one
index, the largest stays.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.context_mixing import adaptive_map
from arzip.context_mixing.state import BIT, PARTIAL, RUN_COUNT, RUN_ENTRIES, RUN_EXPECTED, RUN_KEY
from arzip.jit import spmd
from arzip.jit.compile import inline_njit

MAX_COUNT = 255  # an entry: 16 bits of checksum, 8 of count, 8 of byte


@inline_njit
def find_entries(cm, lane):
    """Look up the expected byte and run length of each run model, by the hashes of the next byte -> run[lane]."""
    for r in range(spmd.member_index(), cm.runs.size, spmd.member_count()):
        h = cm.hashes[lane, cm.runs[r]]
        index = np.int64((h >> uint64(20)) & uint64(cm.run_table.shape[1] - 1))
        checksum = np.int64((h >> uint64(44)) & uint64(0xFFFF))
        entry = np.int64(cm.run_table[r, index])
        is_known = entry >> 16 == checksum and entry & 0xFFFF != 0
        cm.run[lane, r, RUN_KEY] = index << 16 | checksum
        cm.run[lane, r, RUN_EXPECTED] = (entry & 255) + 1 if is_known else 0
        cm.run[lane, r, RUN_COUNT] = (entry >> 8) & 255 if is_known else 0


@inline_njit
def lookup(cm, lane, first):
    """Look up the run models' map entries for the next bit, as maps `first` and up."""
    bit = cm.clock[BIT]
    partial = cm.lane[lane, PARTIAL]
    base = cm.map_bases[cm.orders.size + 1]
    for r in range(spmd.member_index(), cm.runs.size, spmd.member_count()):
        expected = cm.run[lane, r, RUN_EXPECTED] + 255  # with a leading 1 bit; below 256: none is expected
        if expected >= 256 and expected >> (8 - bit) == partial:
            at = base + r * RUN_ENTRIES + min(cm.run[lane, r, RUN_COUNT], 31) * 8 + bit
            adaptive_map.lookup(cm, lane, first + r, at, 1 - ((expected >> (7 - bit)) & 1))
        else:
            adaptive_map.skip(cm, lane, first + r)


@inline_njit
def insert(cm, first, end, values):
    """Insert the bytes just coded, values (L,), into the run tables."""
    for merge in range(2):
        spmd.block_barrier()
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            for r in range(spmd.member_index(), cm.runs.size, spmd.member_count()):
                index = cm.run[lane, r, RUN_KEY] >> 16
                count = 1
                if cm.run[lane, r, RUN_EXPECTED] == values[lane] + 1:
                    count = min(cm.run[lane, r, RUN_COUNT] + 1, MAX_COUNT)
                entry = (cm.run[lane, r, RUN_KEY] & 0xFFFF) << 16 | count << 8 | values[lane]
                if merge:
                    spmd.atomic_max(cm.run_table, (r, index), entry)
                else:
                    cm.run_table[r, index] = 0
