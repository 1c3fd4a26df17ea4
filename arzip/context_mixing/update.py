"""Update after a coded bit: maps, bit-history states, mixer weights.

Architecture invariant: `accumulate` adds sums and takes maxima of values read before the step; `clamp` then brings them
into range by idempotent operations. With a single lane `accumulate` does both.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.context_mixing import adaptive_map, mixer_simd
from arzip.context_mixing.adaptive_map import COUNT_MASK
from arzip.context_mixing.logistic import OUTPUT_LIMIT
from arzip.context_mixing.state import BIT, CLASSES, LR_SCALE, MAP_COUNT_BITS, PARTIAL, STEP
from arzip.context_mixing.state_table import STATES
from arzip.jit import spmd
from arzip.jit.compile import inline_njit
from arzip.probability import P_ONE

LEARNING_RATE = 6  # field of the clock: layer 1's learning rate at this step


@inline_njit
def set_learning_rate(cm):
    """Set layer 1's learning rate for the clock's step."""
    rate = cm.rates[0]
    extra = cm.rates[1]
    if extra:
        rate += extra * 2048 // (2048 + cm.clock[STEP] * cm.rates[3])
    cm.clock[LEARNING_RATE] = rate


@inline_njit
def set_lr_scale(cm, lane):
    """Set a lane's factor, in 1 / 16, of the learning rate, by the classes of its last 6 bytes (lane_history.py)."""
    classes = cm.lane[lane, CLASSES]
    letters, binary = 0, 0
    for _ in range(6):
        kind = classes & 7
        letters += 1 if kind == 1 or kind == 4 else 0
        binary += 1 if kind >= 6 else 0
        classes >>= 3
    lr_scale = 20
    if binary:
        lr_scale = 24 if binary <= 2 else 32  # binary data changes fast
    elif letters >= 5:
        lr_scale = 8 if letters == 6 else 16  # prose is stationary
    cm.lane[lane, LR_SCALE] = lr_scale


@inline_njit
def accumulate(cm, first, end, bits, single_lane):
    """Add the updates of each lane's bit (L,) int64, 0 or 1, to maps, slots and weights; clamped if single_lane."""
    contexts = cm.kinds.size
    direct = contexts + cm.orders.size
    entries = cm.limits.size
    sets = cm.mixer_contexts.size
    bit = cm.clock[BIT]
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        y = bits[lane]
        target = y * (P_ONE - 1)
        partial = cm.lane[lane, PARTIAL]
        rate = cm.clock[LEARNING_RATE] * cm.lane[lane, LR_SCALE] >> 4
        node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
        for c in range(spmd.member_index(), contexts, spmd.member_count()):
            adaptive_map.update(cm, lane, c, target, single_lane)
            slot = cm.slot[lane, c]
            state = uint64(cm.map_index[lane, c] - c * STATES)
            next_state = np.int64(cm.next_state[state, uint64(y)])
            cm.slots[uint64(slot + node)] = next_state if single_lane and slot else 0
        for m in range(contexts + spmd.member_index(), direct, spmd.member_count()):
            adaptive_map.update(cm, lane, m, target, single_lane)
        for m in range(direct + spmd.member_index(), entries, spmd.member_count()):
            if cm.map_index[lane, m] >= 0:
                adaptive_map.update(cm, lane, m, (y ^ cm.inverted[lane, m]) * (P_ONE - 1), single_lane)
        for s in range(sets):
            error = (y << 22) - np.int64(cm.squash[uint64(cm.layer1_logits[lane, s] + OUTPUT_LIMIT)])
            error = (error * rate) >> mixer_simd.GRADIENT_BITS
            mixer_simd.train(cm.weights, cm.weight_rows[lane, s], cm.inputs, lane, error, single_lane)
        error = (y << 22) - cm.output[lane, 1]
        error = (error * cm.rates[2]) >> mixer_simd.GRADIENT_BITS
        row = uint64(cm.weight_rows[lane, sets])
        for s in range(spmd.member_index(), sets, spmd.member_count()):
            spmd.atomic_add(cm.layer2_weights, (row, s), (cm.layer1_logits[lane, s] * error + (1 << 13)) >> 14)


@inline_njit
def clamp(cm, first, end, bits):
    """Clamp the sums that several lanes have added; every operation is idempotent."""
    bit = cm.clock[BIT]
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for s in range(cm.mixer_contexts.size):
            mixer_simd.clamp(cm.weights, cm.weight_rows[lane, s])
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        partial = cm.lane[lane, PARTIAL]
        node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
        for m in range(spmd.member_index(), cm.limits.size, spmd.member_count()):
            at = cm.map_index[lane, m]
            if at < 0:
                continue
            word = cm.maps[uint64(at)]
            p = min(max(word >> MAP_COUNT_BITS, 0), P_ONE - 1)
            cm.maps[uint64(at)] = p << MAP_COUNT_BITS | min(word & COUNT_MASK, cm.limits[m])
        for c in range(spmd.member_index(), cm.kinds.size, spmd.member_count()):
            slot = cm.slot[lane, c]
            state = cm.map_index[lane, c] - c * STATES
            next_state = np.int64(cm.next_state[uint64(state), uint64(bits[lane])])
            spmd.atomic_max(cm.slots, uint64(slot + node), next_state if slot else 0)
