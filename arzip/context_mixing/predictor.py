"""The bit predictor of context mixing: `predict` a bit, `update`, `end_byte`, for the lanes [first, end) of a block.

single_lane: the block has one lane, so changes need no merging; pass a constant, and numba compiles the branch away.

Architecture invariant: `predict` only reads shared state; `update` and `end_byte` merge the lanes' writes by sums,
maxima or clearing, and clamp sums afterwards, so the result does not depend on the order of lanes.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64

from arzip.context_mixing import (
    apm,
    contexts,
    hash_table,
    hashing,
    lane_history,
    match_model,
    mixer,
    mixer_inputs,
    run_model,
)
from arzip.context_mixing.state import BIT, PARTIAL, RECENT, SLOT_BYTES, STEP
from arzip.context_mixing.update import accumulate, clamp, set_learning_rate, set_lr_scale
from arzip.jit import spmd
from arzip.jit.compile import inline_njit, njit, prefetch


@njit(forceinline=True, _nrt=False)
def set_step(cm, step):
    """Set the clock to the first bit of a step, and the learning rate of that step."""
    if spmd.leads_block():
        cm.clock[STEP] = step
        cm.clock[BIT] = 0
        set_learning_rate(cm)
    spmd.block_barrier()


@njit(forceinline=True, _nrt=False)
def predict(cm, first, end, network_p, out, single_lane):
    """P(bit = 1) in Q22 of each lane's next bit -> out (L,) int64; network_p (L,) int64: the network's, Q22."""
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        if single_lane:
            apm.prefetch_entries(cm, lane)
        mixer_inputs.add_inputs(cm, lane, network_p[lane])
        mixer.select_weight_sets(cm, lane, network_p[lane])
        mixer.mix(cm, lane)
        apm.select_entries(cm, lane)
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        out[lane] = apm.refine(cm, lane)


@inline_njit
def prefetch_slots(cm, lane, partial):
    """Prefetch the slots that `find_slots` will read, so that their cache misses overlap."""
    mask = uint64(cm.slots.size // SLOT_BYTES - 1)
    for c in range(spmd.member_index(), cm.kinds.size, spmd.member_count()):
        h = cm.hashes[lane, c]
        if partial > 1:
            h = hashing.hash_pair(h, partial)
        prefetch(cm.slots, np.int64(h & mask) * SLOT_BYTES)


@njit(forceinline=True, _nrt=False)
def update(cm, first, end, bits, single_lane):
    """Update all models with bits (L,) int64, 0 or 1, after `predict` of all lanes; move on to the next bit."""
    spmd.block_barrier()
    accumulate(cm, first, end, bits, single_lane)
    spmd.block_barrier()
    if not single_lane:
        clamp(cm, first, end, bits)
    spmd.block_barrier()
    if spmd.leads_team():
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            cm.lane[lane, PARTIAL] = cm.lane[lane, PARTIAL] * 2 + bits[lane]
    if spmd.leads_block():
        cm.clock[BIT] += 1
    spmd.block_barrier()
    if single_lane and cm.clock[BIT] == 3:  # no work of other lanes hides the cache misses
        for half in range(2):
            prefetch_slots(cm, first, cm.lane[first, PARTIAL] * 2 + half)
    if cm.clock[BIT] == 4:
        if not single_lane:
            for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
                prefetch_slots(cm, lane, cm.lane[lane, PARTIAL])
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            hash_table.find_slots(cm, lane)
        spmd.block_barrier()
        hash_table.replace_slots(cm, first, end)


@njit(_nrt=False)
def begin(cm, first, end):
    """Prepare the first byte of every lane. Call once, before the first `predict`."""
    prepare_contexts(cm, first, end)
    prepare_entries(cm, first, end)


@njit(forceinline=True, _nrt=False)
def end_byte(cm, first, end, values, step, single_lane):
    """Append the bytes just coded, values (L,) int64, to the lanes' histories and prepare the next byte."""
    if spmd.leads_block():
        cm.clock[STEP] = step
    spmd.block_barrier()
    if spmd.leads_team():
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            cm.text[cm.starts[lane] + step] = values[lane]
            match_model.prefetch_table(cm, lane, step + 1)
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            lane_history.push_byte(cm, lane, values[lane])
    spmd.block_barrier()
    if spmd.leads_block():
        cm.clock[STEP] = step + 1
        lane_history.detect_record_length(cm)
    spmd.block_barrier()
    if spmd.leads_team():
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            match_model.advance(cm, lane, values[lane])
    spmd.team_barrier()
    prepare_contexts(cm, first, end)
    match_model.insert(cm, first, end, single_lane)
    run_model.insert(cm, first, end, values)
    spmd.block_barrier()
    prepare_entries(cm, first, end)


@inline_njit
def prepare_contexts(cm, first, end):
    """Hash the contexts of the next byte and prefetch their slots."""
    if spmd.leads_block():
        cm.clock[BIT] = 0
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        if spmd.leads_team():
            cm.lane[lane, PARTIAL] = 1
            set_lr_scale(cm, lane)
        contexts.hash_contexts(cm, lane)
        prefetch_slots(cm, lane, 1)


@inline_njit
def prepare_entries(cm, first, end):
    """Look up the next byte's direct rows, runs and slots."""
    spmd.team_barrier()
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for d in range(spmd.member_index(), cm.orders.size, spmd.member_count()):
            order = cm.orders[d]
            entries = cm.map_bases[d + 1] - cm.map_bases[d]
            recent = cm.lane[lane, RECENT] & ((1 << (8 * order)) - 1)
            index = recent << 8
            if (8 * order + 8 > 16 and index >= entries) or order > 2:
                index = np.int64(hashing.hash_pair(recent, order) & uint64(entries // 256 - 1)) << 8
            cm.direct[lane, d] = cm.map_bases[d] + index
        run_model.find_entries(cm, lane)
    spmd.team_barrier()
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        hash_table.find_slots(cm, lane)
    spmd.block_barrier()
    hash_table.replace_slots(cm, first, end)
