"""Mixer inputs: the predictions of all component models for a lane's next bit, two inputs a map.

Reads shared state only.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.context_mixing import adaptive_map, joint_maps, match_model, run_model
from arzip.context_mixing.state import (
    BIT,
    EXPECTED,
    LENGTH,
    LENGTH_BUCKETS,
    MAP_COUNT_BITS,
    MISS_BUCKETS,
    MISS_HISTORY,
    ORDER,
    PARTIAL,
    USE_NETWORK,
)
from arzip.context_mixing.state_table import STATES
from arzip.jit import spmd
from arzip.jit.compile import inline_njit


@inline_njit
def add_inputs(cm, lane, network_p):
    """Look up every map and write its two mixer inputs; count the known contexts among the first 7 -> ORDER."""
    c_count = cm.kinds.size
    d_count = cm.orders.size
    k_count = cm.min_lengths.size
    x = cm.inputs
    bit = cm.clock[BIT]
    partial = cm.lane[lane, PARTIAL]
    node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
    order = 0
    for c in range(spmd.member_index(), c_count, spmd.member_count()):
        state = np.int64(cm.slots[uint64(cm.slot[lane, c] + node)])
        at = c * STATES + state
        word = cm.maps[uint64(at)]
        cm.map_index[lane, c] = at
        cm.map_value[lane, c] = word
        p = word >> (MAP_COUNT_BITS + 10)
        logit = cm.stretch[uint64(p)]  # unconditional: a branch would often be mispredicted
        x[lane, 2 * c] = logit if state else 0
        x[lane, 2 * c + 1] = (p - 2048) >> 1 if state else 0
        order += 1 if state and c < 7 else 0
    cm.lane[lane, ORDER] = np.int64(spmd.team_sum(np.int32(order)))
    for d in range(spmd.member_index(), d_count, spmd.member_count()):
        adaptive_map.lookup(cm, lane, c_count + d, cm.direct[lane, d] + partial, 0)
    for k in range(spmd.member_index(), k_count, spmd.member_count()):
        i = c_count + d_count + k
        expected = cm.match[lane, k, EXPECTED] + 255  # with a leading 1 bit; below 256: none is expected
        if expected >= 256 and expected >> (8 - bit) == partial:
            bucket = match_model.length_bucket(cm.match[lane, k, LENGTH])
            at = cm.map_bases[d_count] + (k * LENGTH_BUCKETS + bucket) * MISS_BUCKETS
            at += match_model.miss_bucket(cm.match[lane, k, MISS_HISTORY])
            adaptive_map.lookup(cm, lane, i, at, 1 - ((expected >> (7 - bit)) & 1))
        else:
            adaptive_map.skip(cm, lane, i)
    i = c_count + d_count + k_count
    run_model.lookup(cm, lane, i)
    if cm.joints.size:
        spmd.team_barrier()
    joint_maps.lookup(cm, lane, network_p, i + cm.runs.size)
    i = 2 * (cm.limits.size - cm.apms.size)
    x[lane, i] = 256
    if cm.clock[USE_NETWORK]:
        p = network_p >> 10
        x[lane, i + 1] = cm.stretch[uint64(p)]
        x[lane, i + 2] = (p - 2048) >> 1
