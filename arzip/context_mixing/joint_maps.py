"""Joint maps: what one source says, looked up beside a second opinion: together they are worth more than apart.

The source is a context's history, or a byte that a match or a run expects; the second opinion is the network's or,
without a network, that of the last direct map, in steps of half a logit. Must not know how sources are found.
"""

from __future__ import annotations

from numba import uint64

from arzip.context_mixing import adaptive_map as maps
from arzip.context_mixing.state import (
    JOINT_ENTRIES,
    JOINT_STEPS,
    MAP_COUNT_BITS,
    MATCH_BUCKETS,
    MATCH_RECORDS,
    NETWORK,
    RUN_RECORDS,
)
from arzip.context_mixing.state_table import HISTORIES
from arzip.jit import spmd
from arzip.jit.compile import inlined

assert MATCH_BUCKETS * MATCH_RECORDS <= RUN_RECORDS == HISTORIES


@inlined
def second_opinion(memory, lane, network):  # type: ignore[no-untyped-def]
    """The step, 0 .. JOINT_STEPS - 1, of the second opinion's logit."""
    p = network >> 10
    if not memory.clock[NETWORK]:
        p = memory.old[lane, memory.kinds.size + memory.orders.size - 1] >> (MAP_COUNT_BITS + 10)
    return (memory.stretch[uint64(p)] + 2048) >> 7


@inlined
def consult(memory, lane, network, first):  # type: ignore[no-untyped-def]
    """The joint maps' opinions on the bit that comes, as maps `first` and up, once their sources were asked."""
    if memory.joints.size == 0:
        return
    step = second_opinion(memory, lane, network)
    base = memory.map_bases[memory.orders.size + 2]
    for j in range(spmd.member_index(), memory.joints.size, spmd.member_count()):
        c = memory.joints[j]
        history = memory.entry[lane, c] - c * HISTORIES
        if history:
            maps.consult(memory, lane, first + j, base + j * JOINT_ENTRIES + history * JOINT_STEPS + step, 0)
        else:
            maps.abstain(memory, lane, first + j)
    first += memory.joints.size
    base += memory.joints.size * JOINT_ENTRIES
    for j in range(spmd.member_index(), memory.expected_joints.size, spmd.member_count()):
        source = memory.kinds.size + memory.orders.size + j
        at = memory.entry[lane, source]
        if at >= 0:
            k = memory.shortest.size
            if j < k:
                state = at - memory.map_bases[memory.orders.size] - j * (MATCH_BUCKETS * MATCH_RECORDS)
            else:
                state = at - memory.map_bases[memory.orders.size + 1] - (j - k) * RUN_RECORDS
            flip = memory.flip[lane, source]
            side = JOINT_STEPS - 1 - step if flip else step  # how sure the second opinion is of the bit expected
            maps.consult(memory, lane, first + j, base + j * JOINT_ENTRIES + state * JOINT_STEPS + side, flip)
        else:
            maps.abstain(memory, lane, first + j)
