"""What all maps, histories and matches say about the next bit of a lane -> inputs of the mixer -> one logit.

Only reads what lanes share. Must not know how anything is learned.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.compiled import inlined
from arzip.jit import spmd
from arzip.memory import joint, maps, match, mixer, runs
from arzip.memory.spec import (
    BIT,
    CLASSES,
    EXPECTED,
    LENGTH,
    MAP_COUNT_BITS,
    MATCH_BUCKETS,
    MATCH_RECORDS,
    NETWORK,
    ORDER,
    PARTIAL,
    RECENT,
    RECORD,
    ROW,
    STEP,
)
from arzip.memory.tables import HISTORIES, OUTPUT_LIMIT


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


@inlined
def select(memory, lane, network):  # type: ignore[no-untyped-def]
    """Choose a row of each weight set by the set's small context."""
    bit = memory.clock[BIT]
    partial = memory.lane[lane, PARTIAL]
    last = memory.selectors.size
    for s in range(spmd.member_index(), last, spmd.member_count()):
        kind = memory.selectors[s]
        row = 0
        if kind == 0:
            expected = memory.match[lane, 0, EXPECTED] + 255
            if expected >= 256 and expected >> (8 - bit) == partial:
                row = (
                    1 + min(match.length_bucket(memory.match[lane, 0, LENGTH]), 15) * 2 + ((expected >> (7 - bit)) & 1)
                )
            row = row * 8 + bit
        elif kind == 1:
            row = partial
        elif kind == 2:
            row = memory.lane[lane, RECENT] & 255
        elif kind == 3:
            row = (memory.lane[lane, RECENT] >> 8) & 255
        elif kind == 4:
            row = memory.lane[lane, ORDER] * 8 + bit
        elif kind == 5:
            row = memory.lane[lane, CLASSES] & 511
        elif kind == 6:
            row = (memory.stretch[uint64(network >> 10)] + 2048) >> 7 if memory.clock[NETWORK] else 0
        elif kind == 7:
            length = memory.clock[ROW]
            row = (memory.starts[lane] + memory.clock[STEP]) % length & 255 if length else 0
            row = row * 8 + bit
        elif kind == 8:
            row = (
                (bit << 8)
                | ((memory.lane[lane, RECENT] >> 5) & 7) << 5
                | ((memory.lane[lane, RECENT] >> 13) & 7) << 2
                | ((memory.lane[lane, RECENT] >> 22) & 3)
            )
        elif kind == 9:
            row = memory.match[lane, 0, EXPECTED]
        elif kind == 10:
            row = (memory.lane[lane, RECENT] >> 16) & 255
        memory.chosen[lane, s] = memory.bases[s] + row
    memory.chosen[lane, last] = partial
    spmd.team_barrier()


@inlined
def blend(memory, lane):  # type: ignore[no-untyped-def]
    """The mixers: first-layer logits, then the final mixer's logit and probability."""
    total = np.int64(0)
    row = uint64(memory.chosen[lane, memory.selectors.size])
    for s in range(memory.selectors.size):
        logit = mixer.clip(mixer.dot(memory.weights, memory.chosen[lane, s], memory.inputs, lane), OUTPUT_LIMIT)
        memory.mixed[lane, s] = logit
        total += memory.final_weights[row, s] * logit
    logit = mixer.clip((total + (1 << 19)) >> 20, OUTPUT_LIMIT)
    memory.output[lane, 0] = logit
    memory.output[lane, 1] = np.int64(memory.squash[uint64(logit + OUTPUT_LIMIT)])
