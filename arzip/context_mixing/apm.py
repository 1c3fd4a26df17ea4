"""Final maps: how often bits that were given such a probability, in a small context, were one (Mahoney's APM, or SSE).

Only reads what lanes share. Must not know how the probability came about.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing import hashing
from arzip.context_mixing.state import APM_STEPS, EXPECTED, MAP_COUNT_BITS, PARTIAL, RECENT
from arzip.jit import spmd
from arzip.jit.compile import inlined, prefetch
from arzip.probability import P_ONE


@inlined
def final_entry(memory, lane, f, step):  # type: ignore[no-untyped-def]
    """Index of final map f's entry of this step in the lane's context."""
    partial = memory.lane[lane, PARTIAL]
    kind = memory.finals[f]
    context = partial
    if kind == 1:
        context = (memory.lane[lane, RECENT] & 255) << 8 | partial
    elif kind == 2:
        context = np.int64(hashing.mix(memory.lane[lane, RECENT] & 0xFFFFFF, partial) & uint64(0xFFFF))
    elif kind == 3:
        context = memory.match[lane, 0, EXPECTED] << 8 | partial
    return memory.map_bases[memory.orders.size + 3 + f] + context * APM_STEPS + step


@inlined
def fetch_finals(memory, lane):  # type: ignore[no-untyped-def]
    """Have the processor fetch what `refine` may look at: these maps are too large for its caches."""
    for f in range(memory.finals.size):
        if memory.finals[f]:
            at = final_entry(memory, lane, f, np.int64(0))
            for line in range(0, APM_STEPS, 8):
                prefetch(memory.maps, at + line)


@inlined
def choose_finals(memory, lane):  # type: ignore[no-untyped-def]
    """The entries of the final maps that the final logit lies on, or the first of the two that it lies between."""
    first = memory.limits.size - memory.finals.size
    position = min(max(memory.output[lane, 0] + 12 * 256, 0), 24 * 256 - 1)
    for f in range(spmd.member_index(), memory.finals.size, spmd.member_count()):
        at = final_entry(memory, lane, f, position >> 8)
        memory.entry[lane, first + f] = at
        prefetch(memory.maps, at)


@inlined
def refine(memory, lane):  # type: ignore[no-untyped-def]
    """The final maps: how often bits given such a probability, in this context, were one. Returns P in Q22."""
    first = memory.limits.size - memory.finals.size
    position = min(max(memory.output[lane, 0] + 12 * 256, 0), 24 * 256 - 1)
    weight = position & 255
    weighted = 0
    shares = 2
    for f in range(memory.finals.size):
        shares += 2 if memory.finals[f] else 1
    for f in range(spmd.member_index(), memory.finals.size, spmd.member_count()):
        at = memory.entry[lane, first + f]
        low = memory.maps[uint64(at)]
        high = memory.maps[uint64(at + 1)]
        p = ((low >> MAP_COUNT_BITS) * (256 - weight) + (high >> MAP_COUNT_BITS) * weight) >> 8
        memory.entry[lane, first + f] = at + (weight >> 7)
        memory.old[lane, first + f] = high if weight >> 7 else low
        weighted += p * (2 if memory.finals[f] else 1)
    mean = 2 * memory.output[lane, 1] + np.int64(spmd.team_sum(np.int32(weighted)))
    # divisions by constants are cheap ones
    total = uint64(mean)
    if shares == 3:
        total //= uint64(3)
    elif shares == 5:
        total //= uint64(5)
    elif shares == 7:
        total //= uint64(7)
    elif shares == 9:
        total //= uint64(9)
    else:
        total //= uint64(shares)
    return min(max(np.int64(total), 12), P_ONE - 12)
