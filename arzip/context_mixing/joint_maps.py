"""Joint maps: two-dimensional APMs, indexed by the state of one source and the quantised probability of another.

The first source is a context's bit-history state, or a match or run that expects a byte; the second is the network's
probability or, without a network, that of the last direct map, in steps of half a logit.
Must not import the modules of the sources.
"""

from __future__ import annotations

from numpy import uint64

from arzip.context_mixing import adaptive_map
from arzip.context_mixing.state import (
    JOINT_ENTRIES,
    JOINT_STEPS,
    LENGTH_BUCKETS,
    MAP_COUNT_BITS,
    MISS_BUCKETS,
    RUN_ENTRIES,
    USE_NETWORK,
)
from arzip.context_mixing.state_table import STATES
from arzip.jit import spmd
from arzip.jit.compile import inline_njit

assert LENGTH_BUCKETS * MISS_BUCKETS <= RUN_ENTRIES == STATES


@inline_njit
def prediction_step(cm, lane, network_p):
    """The second source's logit, quantised to 0 .. JOINT_STEPS - 1."""
    p = network_p >> 10
    if not cm.clock[USE_NETWORK]:
        p = cm.map_value[lane, cm.kinds.size + cm.orders.size - 1] >> (MAP_COUNT_BITS + 10)
    return (cm.stretch[uint64(p)] + 2048) >> 7


@inline_njit
def lookup(cm, lane, network_p, first):
    """Look up the joint maps, as maps `first` and up. Call after the lookups of their sources."""
    if cm.joints.size == 0:
        return
    step = prediction_step(cm, lane, network_p)
    base = cm.map_bases[cm.orders.size + 2]
    for j in range(spmd.member_index(), cm.joints.size, spmd.member_count()):
        c = cm.joints[j]
        state = cm.map_index[lane, c] - c * STATES
        if state:
            adaptive_map.lookup(cm, lane, first + j, base + j * JOINT_ENTRIES + state * JOINT_STEPS + step, 0)
        else:
            adaptive_map.skip(cm, lane, first + j)
    first += cm.joints.size
    base += cm.joints.size * JOINT_ENTRIES
    for j in range(spmd.member_index(), cm.expected_joints.size, spmd.member_count()):
        source = cm.kinds.size + cm.orders.size + j
        at = cm.map_index[lane, source]
        if at >= 0:
            k = cm.min_lengths.size
            if j < k:
                state = at - cm.map_bases[cm.orders.size] - j * (LENGTH_BUCKETS * MISS_BUCKETS)
            else:
                state = at - cm.map_bases[cm.orders.size + 1] - (j - k) * RUN_ENTRIES
            inverted = cm.inverted[lane, source]
            side = JOINT_STEPS - 1 - step if inverted else step  # the quantised P(bit = expected bit)
            adaptive_map.lookup(cm, lane, first + j, base + j * JOINT_ENTRIES + state * JOINT_STEPS + side, inverted)
        else:
            adaptive_map.skip(cm, lane, first + j)
