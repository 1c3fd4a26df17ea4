"""What a coded bit teaches the memory: maps, bit histories, mixer weights.

Architecture invariant: lanes add sums or take maxima of what they read before the step; `settle` then brings the
results into range, by operations that may be repeated. A lane alone does both at once.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing import adaptive_map as maps
from arzip.context_mixing import mixer_simd as mixer
from arzip.context_mixing.adaptive_map import COUNT_MASK
from arzip.context_mixing.logistic import OUTPUT_LIMIT
from arzip.context_mixing.state import BIT, CLASSES, HASTE, MAP_COUNT_BITS, PARTIAL, STEP
from arzip.context_mixing.state_table import HISTORIES
from arzip.jit import spmd
from arzip.jit.compile import inlined
from arzip.probability import P_ONE

RATE = 6  # field of the clock: the mixers' learning rate at this step


@inlined
def pace(memory):  # type: ignore[no-untyped-def]
    """Set the mixers' learning rate for the step that the clock shows."""
    rate = memory.rates[0]
    extra = memory.rates[1]
    if extra:
        rate += extra * 2048 // (2048 + memory.clock[STEP] * memory.rates[3])
    memory.clock[RATE] = rate


@inlined
def judge_haste(memory, lane):  # type: ignore[no-untyped-def]
    """Set a lane's share, in 1 / 16, of the mixers' learning rate: by the classes of its last 6 bytes (contexts.py)."""
    classes = memory.lane[lane, CLASSES]
    letters, binary = 0, 0
    for _ in range(6):
        kind = classes & 7
        letters += 1 if kind == 1 or kind == 4 else 0
        binary += 1 if kind >= 6 else 0
        classes >>= 3
    haste = 20
    if binary:
        haste = 24 if binary <= 2 else 32  # what such data is like changes fast
    elif letters >= 5:
        haste = 8 if letters == 6 else 16  # prose stays what it is
    memory.lane[lane, HASTE] = haste


@inlined
def collect(memory, first, end, bits, alone):  # type: ignore[no-untyped-def]
    """Add what each lane's bit (L,) int64 0 or 1 teaches to maps, slots and weights; settled at once if alone."""
    contexts = memory.kinds.size
    direct = contexts + memory.orders.size
    entries = memory.limits.size
    sets = memory.selectors.size
    bit = memory.clock[BIT]
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        y = bits[lane]
        target = y * (P_ONE - 1)
        partial = memory.lane[lane, PARTIAL]
        rate = memory.clock[RATE] * memory.lane[lane, HASTE] >> 4
        node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
        for c in range(spmd.member_index(), contexts, spmd.member_count()):
            maps.teach(memory, lane, c, target, alone)
            slot = memory.slot[lane, c]
            history = uint64(memory.entry[lane, c] - c * HISTORIES)
            following = np.int64(memory.history[history, uint64(y)])
            memory.slots[uint64(slot + node)] = following if alone and slot else 0
        for m in range(contexts + spmd.member_index(), direct, spmd.member_count()):
            maps.teach(memory, lane, m, target, alone)
        for m in range(direct + spmd.member_index(), entries, spmd.member_count()):
            if memory.entry[lane, m] >= 0:
                maps.teach(memory, lane, m, (y ^ memory.flip[lane, m]) * (P_ONE - 1), alone)
        for s in range(sets):
            error = (y << 22) - np.int64(memory.squash[uint64(memory.mixed[lane, s] + OUTPUT_LIMIT)])
            error = (error * rate) >> mixer.GRADIENT_BITS
            mixer.train(memory.weights, memory.chosen[lane, s], memory.inputs, lane, error, alone)
        error = (y << 22) - memory.output[lane, 1]
        error = (error * memory.rates[2]) >> mixer.GRADIENT_BITS
        row = uint64(memory.chosen[lane, sets])
        for s in range(spmd.member_index(), sets, spmd.member_count()):
            spmd.atomic_add(memory.final_weights, (row, s), (memory.mixed[lane, s] * error + (1 << 13)) >> 14)


@inlined
def settle(memory, first, end, bits):  # type: ignore[no-untyped-def]
    """Bring what several lanes have added into range; every operation may be repeated without effect."""
    bit = memory.clock[BIT]
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for s in range(memory.selectors.size):
            mixer.clamp(memory.weights, memory.chosen[lane, s])
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        partial = memory.lane[lane, PARTIAL]
        node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
        for m in range(spmd.member_index(), memory.limits.size, spmd.member_count()):
            at = memory.entry[lane, m]
            if at < 0:
                continue
            word = memory.maps[uint64(at)]
            p = min(max(word >> MAP_COUNT_BITS, 0), P_ONE - 1)
            memory.maps[uint64(at)] = p << MAP_COUNT_BITS | min(word & COUNT_MASK, memory.limits[m])
        for c in range(spmd.member_index(), memory.kinds.size, spmd.member_count()):
            slot = memory.slot[lane, c]
            history = memory.entry[lane, c] - c * HISTORIES
            following = np.int64(memory.history[uint64(history), uint64(bits[lane])])
            spmd.atomic_max(memory.slots, uint64(slot + node), following if slot else 0)
