"""Adaptive probability maps (APM, or secondary symbol estimation, SSE; Mahoney): the mixer's probability is refined.

An APM stage maps the final logit, in a small context, to the observed probability of a 1, interpolated between two
of APM_STEPS entries. Reads shared state only. Must not import the mixer.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.context_mixing import hashing
from arzip.context_mixing.state import APM_STEPS, EXPECTED, MAP_COUNT_BITS, PARTIAL, RECENT
from arzip.jit import spmd
from arzip.jit.compile import inline_njit, prefetch
from arzip.probability import P_ONE


@inline_njit
def entry_index(cm, lane, f, step):
    """Index in `maps` of stage f's entry for this step of the logit in the lane's context."""
    partial = cm.lane[lane, PARTIAL]
    kind = cm.apms[f]
    context = partial
    if kind == 1:
        context = (cm.lane[lane, RECENT] & 255) << 8 | partial
    elif kind == 2:
        context = np.int64(hashing.hash_pair(cm.lane[lane, RECENT] & 0xFFFFFF, partial) & uint64(0xFFFF))
    elif kind == 3:
        context = cm.match[lane, 0, EXPECTED] << 8 | partial
    return cm.map_bases[cm.orders.size + 3 + f] + context * APM_STEPS + step


@inline_njit
def prefetch_entries(cm, lane):
    """Prefetch the entries that `refine` may read: these maps do not fit the caches."""
    for f in range(cm.apms.size):
        if cm.apms[f]:
            at = entry_index(cm, lane, f, np.int64(0))
            for line in range(0, APM_STEPS, 8):
                prefetch(cm.maps, at + line)


@inline_njit
def select_entries(cm, lane):
    """Select the entry of each stage at or just below the final logit -> map_index."""
    first = cm.limits.size - cm.apms.size
    position = min(max(cm.output[lane, 0] + 12 * 256, 0), 24 * 256 - 1)
    for f in range(spmd.member_index(), cm.apms.size, spmd.member_count()):
        at = entry_index(cm, lane, f, position >> 8)
        cm.map_index[lane, first + f] = at
        prefetch(cm.maps, at)


@inline_njit
def refine(cm, lane):
    """Interpolate each stage at the final logit and average with the mixer's probability. Returns P(1) in Q22."""
    first = cm.limits.size - cm.apms.size
    position = min(max(cm.output[lane, 0] + 12 * 256, 0), 24 * 256 - 1)
    weight = position & 255
    weighted = 0
    divisor = 2
    for f in range(cm.apms.size):
        divisor += 2 if cm.apms[f] else 1
    for f in range(spmd.member_index(), cm.apms.size, spmd.member_count()):
        at = cm.map_index[lane, first + f]
        low = cm.maps[uint64(at)]
        high = cm.maps[uint64(at + 1)]
        p = ((low >> MAP_COUNT_BITS) * (256 - weight) + (high >> MAP_COUNT_BITS) * weight) >> 8
        cm.map_index[lane, first + f] = at + (weight >> 7)
        cm.map_value[lane, first + f] = high if weight >> 7 else low
        weighted += p * (2 if cm.apms[f] else 1)
    mean = 2 * cm.output[lane, 1] + np.int64(spmd.team_sum(np.int32(weighted)))
    # a division by a constant compiles to a multiplication
    total = uint64(mean)
    if divisor == 3:
        total //= uint64(3)
    elif divisor == 5:
        total //= uint64(5)
    elif divisor == 7:
        total //= uint64(7)
    elif divisor == 9:
        total //= uint64(9)
    else:
        total //= uint64(divisor)
    return min(max(np.int64(total), 12), P_ONE - 12)
