"""Adaptive probability maps: look up, skip and update an entry, a probability in Q22 above a count of updates.

Architecture invariant: the changes that several lanes make to one entry are added; `update.clamp` then brings the sum
into range.
"""

from __future__ import annotations

from numpy import uint64

from arzip.context_mixing.state import MAP_COUNT_BITS
from arzip.jit import spmd
from arzip.jit.compile import inline_njit
from arzip.probability import P_ONE

COUNT_MASK = (1 << MAP_COUNT_BITS) - 1


@inline_njit
def lookup(cm, lane, i, at, inverted):
    """Look up entry `at` of map i; write mixer inputs 2i and 2i + 1. inverted = 1: the entry models P(bit = 0)."""
    word = cm.maps[uint64(at)]
    p = word >> (MAP_COUNT_BITS + 10)
    cm.map_index[lane, i] = at
    cm.map_value[lane, i] = word
    cm.inverted[lane, i] = inverted
    logit = cm.stretch[uint64(p)]
    cm.inputs[lane, 2 * i] = -logit if inverted else logit
    cm.inputs[lane, 2 * i + 1] = (2048 - p if inverted else p - 2048) >> 1


@inline_njit
def skip(cm, lane, i):
    """Leave map i out of this bit: both of its mixer inputs are 0, and no entry is updated."""
    cm.map_index[lane, i] = -1
    cm.inputs[lane, 2 * i] = 0
    cm.inputs[lane, 2 * i + 1] = 0


@inline_njit
def update(cm, lane, m, target, single_lane):
    """Move the entry that a lane looked up in map m towards target, 0 or P_ONE - 1; clamped only if single_lane."""
    at = uint64(cm.map_index[lane, m])
    word = cm.map_value[lane, m]
    n = word & COUNT_MASK
    change = (((target - (word >> MAP_COUNT_BITS)) * cm.reciprocal[uint64(n)]) >> 16) << MAP_COUNT_BITS
    if single_lane:
        cm.maps[at] = word + change + (n < cm.limits[m])
    else:
        spmd.atomic_add(cm.maps, at, change + 1)


assert P_ONE << MAP_COUNT_BITS < 1 << 62
