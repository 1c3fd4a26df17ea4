"""What a coded bit teaches the memory: maps, bit histories, mixer weights.

Architecture invariant: lanes add sums or take maxima of what they read before the step; `settle` then brings the
results into range, by operations that may be repeated.
"""

from __future__ import annotations

import numpy as np

from arzip.compiled import njit
from arzip.memory import mixer
from arzip.memory.spec import BIT, MAP_COUNT_BITS, PARTIAL, STEP
from arzip.memory.tables import HISTORIES, OUTPUT_LIMIT, P_ONE

COUNT_MASK = (1 << MAP_COUNT_BITS) - 1


@njit(forceinline=True, _nrt=False)
def collect(memory, first, end, bits):  # type: ignore[no-untyped-def]
    """Add what each lane's bit (L,) int64 0 or 1 teaches to maps, slots and weights."""
    c_count = memory.kinds.size
    entries = memory.limits.size
    sets = memory.selectors.size
    bit = memory.clock[BIT]
    rate = memory.rates[0]
    extra = memory.rates[1]
    if extra:
        rate += extra * 2048 // (2048 + memory.clock[STEP] * memory.rates[3])
    for lane in range(first, end):
        y = bits[lane]
        partial = memory.lane[lane, PARTIAL]
        node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
        for m in range(entries):
            at = memory.entry[lane, m]
            if at < 0:
                continue
            word = memory.old[lane, m]
            n = word & COUNT_MASK
            target = (y ^ memory.flip[lane, m]) * (P_ONE - 1)
            change = ((target - (word >> MAP_COUNT_BITS)) * memory.reciprocal[n]) >> 16
            if end - first == 1:
                memory.maps[at] = word + (change << MAP_COUNT_BITS) + (1 if n < memory.limits[m] else 0)
            else:
                memory.maps[at] += (change << MAP_COUNT_BITS) + 1
        for c in range(c_count):
            slot = memory.slot[lane, c]
            if slot:
                if end - first == 1:
                    memory.slots[slot + node] = memory.history[memory.entry[lane, c] - c * HISTORIES, y]
                else:
                    memory.slots[slot + node] = 0
        for s in range(sets):
            error = (y << 22) - np.int64(memory.squash[memory.mixed[lane, s] + OUTPUT_LIMIT])
            mixer.train(
                memory.weights, memory.chosen[lane, s], memory.inputs, lane, (error * rate) >> mixer.GRADIENT_BITS
            )
        error = (y << 22) - memory.output[lane, 1]
        error = (error * memory.rates[2]) >> mixer.GRADIENT_BITS
        row = memory.chosen[lane, sets]
        for s in range(sets):
            memory.final_weights[row, s] += (memory.mixed[lane, s] * error + (1 << 13)) >> 14


@njit(forceinline=True, _nrt=False)
def settle(memory, first, end, bits):  # type: ignore[no-untyped-def]
    """Bring what several lanes have added into range; every operation may be repeated without effect."""
    bit = memory.clock[BIT]
    for lane in range(first, end):
        for s in range(memory.selectors.size):
            mixer.clamp(memory.weights, memory.chosen[lane, s])
    if end - first == 1:
        return  # `collect` has done the rest at once
    for lane in range(first, end):
        partial = memory.lane[lane, PARTIAL]
        node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
        for m in range(memory.limits.size):
            at = memory.entry[lane, m]
            if at < 0:
                continue
            word = memory.maps[at]
            p = min(max(word >> MAP_COUNT_BITS, 0), P_ONE - 1)
            memory.maps[at] = p << MAP_COUNT_BITS | min(word & COUNT_MASK, memory.limits[m])
        for c in range(memory.kinds.size):
            slot = memory.slot[lane, c]
            if slot:
                history = memory.entry[lane, c] - c * HISTORIES
                following = memory.history[history, bits[lane]]
                memory.slots[slot + node] = max(memory.slots[slot + node], following)
