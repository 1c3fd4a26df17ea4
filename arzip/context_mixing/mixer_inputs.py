"""What all maps, histories and matches say about the next bit of a lane -> inputs of the mixer -> one logit.

Only reads what lanes share. Must not know how anything is learned.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing import adaptive_map as maps
from arzip.context_mixing import joint_maps as joint
from arzip.context_mixing import match_model as match
from arzip.context_mixing import run_model as runs
from arzip.context_mixing.state import (
    BIT,
    EXPECTED,
    LENGTH,
    MAP_COUNT_BITS,
    MATCH_BUCKETS,
    MATCH_RECORDS,
    NETWORK,
    ORDER,
    PARTIAL,
    RECORD,
)
from arzip.context_mixing.state_table import HISTORIES
from arzip.jit import spmd
from arzip.jit.compile import inlined


@inlined
def gather(memory, lane, network):  # type: ignore[no-untyped-def]
    """Consult every map and turn its opinion into two inputs of the mixer; count the contexts seen before."""
    c_count = memory.kinds.size
    d_count = memory.orders.size
    k_count = memory.shortest.size
    x = memory.inputs
    entry = memory.entry
    old = memory.old
    bit = memory.clock[BIT]
    partial = memory.lane[lane, PARTIAL]
    node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
    known = 0
    for c in range(spmd.member_index(), c_count, spmd.member_count()):
        history = np.int64(memory.slots[uint64(memory.slot[lane, c] + node)])
        at = c * HISTORIES + history
        word = memory.maps[uint64(at)]
        entry[lane, c] = at
        old[lane, c] = word
        p = word >> (MAP_COUNT_BITS + 10)
        logit = memory.stretch[uint64(p)]  # looked up in any case: a branch would often be mispredicted
        x[lane, 2 * c] = logit if history else 0
        x[lane, 2 * c + 1] = (p - 2048) >> 1 if history else 0
        known += 1 if history and c < 7 else 0
    memory.lane[lane, ORDER] = np.int64(spmd.team_sum(np.int32(known)))
    for d in range(spmd.member_index(), d_count, spmd.member_count()):
        maps.consult(memory, lane, c_count + d, memory.direct[lane, d] + partial, 0)
    for k in range(spmd.member_index(), k_count, spmd.member_count()):
        i = c_count + d_count + k
        expected = memory.match[lane, k, EXPECTED] + 255  # the byte with a leading one, if there is one
        if expected >= 256 and expected >> (8 - bit) == partial:
            bucket = match.length_bucket(memory.match[lane, k, LENGTH])
            at = memory.map_bases[d_count] + (k * MATCH_BUCKETS + bucket) * MATCH_RECORDS
            at += match.record_bucket(memory.match[lane, k, RECORD])
            maps.consult(memory, lane, i, at, 1 - ((expected >> (7 - bit)) & 1))
        else:
            maps.abstain(memory, lane, i)
    i = c_count + d_count + k_count
    runs.consult(memory, lane, i)
    if memory.joints.size:
        spmd.team_barrier()
    joint.consult(memory, lane, network, i + memory.runs.size)
    i = 2 * (memory.limits.size - memory.finals.size)
    x[lane, i] = 256
    if memory.clock[NETWORK]:
        p = network >> 10
        x[lane, i + 1] = memory.stretch[uint64(p)]
        x[lane, i + 2] = (p - 2048) >> 1
    spmd.team_barrier()
