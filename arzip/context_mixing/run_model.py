"""Runs: which byte followed a context the last time, and how often in a row (the run model of PAQ's context maps).

Architecture invariant: a lane looks an entry up before its byte; what the lanes of a step enter is merged by the
largest value, checks first.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing import adaptive_map as maps
from arzip.context_mixing.state import BIT, PARTIAL, RUN, RUN_COUNT, RUN_EXPECTED, RUN_RECORDS
from arzip.jit import spmd
from arzip.jit.compile import inlined

LONGEST = 255  # an entry: 16 bits of check, a count of 8, a byte


@inlined
def find(memory, lane):
    """Look up what each run's context expects next; `hashes` are those of the byte that comes."""
    for r in range(spmd.member_index(), memory.runs.size, spmd.member_count()):
        h = memory.hashes[lane, memory.runs[r]]
        index = np.int64((h >> uint64(20)) & uint64(memory.run_table.shape[1] - 1))
        check = np.int64((h >> uint64(44)) & uint64(0xFFFF))
        entry = np.int64(memory.run_table[r, index])
        known = entry >> 16 == check and entry & 0xFFFF != 0
        memory.run[lane, r, RUN] = index << 16 | check
        memory.run[lane, r, RUN_EXPECTED] = (entry & 255) + 1 if known else 0
        memory.run[lane, r, RUN_COUNT] = (entry >> 8) & 255 if known else 0


@inlined
def consult(memory, lane, first):
    """The runs' opinions on the bit that comes, as those of maps `first` and up."""
    bit = memory.clock[BIT]
    partial = memory.lane[lane, PARTIAL]
    base = memory.map_bases[memory.orders.size + 1]
    for r in range(spmd.member_index(), memory.runs.size, spmd.member_count()):
        expected = memory.run[lane, r, RUN_EXPECTED] + 255  # the byte with a leading one, if there is one
        if expected >= 256 and expected >> (8 - bit) == partial:
            at = base + r * RUN_RECORDS + min(memory.run[lane, r, RUN_COUNT], 31) * 8 + bit
            maps.consult(memory, lane, first + r, at, 1 - ((expected >> (7 - bit)) & 1))
        else:
            maps.abstain(memory, lane, first + r)


@inlined
def enter(memory, first, end, values):
    """Remember the bytes (L,) that came, for every lane of a crew."""
    for merge in range(2):
        spmd.block_barrier()
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            for r in range(spmd.member_index(), memory.runs.size, spmd.member_count()):
                index = memory.run[lane, r, RUN] >> 16
                count = 1
                if memory.run[lane, r, RUN_EXPECTED] == values[lane] + 1:
                    count = min(memory.run[lane, r, RUN_COUNT] + 1, LONGEST)
                entry = (memory.run[lane, r, RUN] & 0xFFFF) << 16 | count << 8 | values[lane]
                if merge:
                    spmd.atomic_max(memory.run_table, (r, index), entry)
                else:
                    memory.run_table[r, index] = 0
