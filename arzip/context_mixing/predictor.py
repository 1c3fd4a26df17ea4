"""The memory's three verbs, for all lanes of a block at once: `predict` a bit, `update`, `end_byte`.

`alone` says that the block has one lane, whose changes need not be merged with others'; a constant, best.

Architecture invariant: `predict` only reads shared state; `update` and `end_byte` merge what lanes write by sums,
maxima, or by clearing, and bring sums into range afterwards, so no order of lanes can be told from the result.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.context_mixing import apm as finals
from arzip.context_mixing import contexts, hashing, mixer
from arzip.context_mixing import hash_table as slots
from arzip.context_mixing import lane_history as past
from arzip.context_mixing import match_model as match
from arzip.context_mixing import mixer_inputs as opinions
from arzip.context_mixing import run_model as runs
from arzip.context_mixing import update as learn
from arzip.context_mixing.state import BIT, PARTIAL, RECENT, SLOT_BYTES, STEP
from arzip.jit import spmd
from arzip.jit.compile import inlined, njit, prefetch


@njit(forceinline=True, _nrt=False)
def turn(memory, step):  # type: ignore[no-untyped-def]
    """The lanes that are now predicted stand at this step, before their first bit."""
    if spmd.leads_block():
        memory.clock[STEP] = step
        memory.clock[BIT] = 0
        learn.pace(memory)
    spmd.block_barrier()


@njit(forceinline=True, _nrt=False)
def predict(memory, first, end, network, out, alone):  # type: ignore[no-untyped-def]
    """P(bit = 1) in Q22 of each lane's next bit -> out (L,) int64; network (L,) int64: its opinion in Q22."""
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        if alone:
            finals.fetch_finals(memory, lane)
        opinions.gather(memory, lane, network[lane])
        mixer.select(memory, lane, network[lane])
        mixer.blend(memory, lane)
        finals.choose_finals(memory, lane)
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        out[lane] = finals.refine(memory, lane)


@inlined
def fetch(memory, lane, partial):  # type: ignore[no-untyped-def]
    """Have the processor fetch the slots that `slots.find` will look at: one after the other it would wait for each."""
    mask = uint64(memory.slots.size // SLOT_BYTES - 1)
    for c in range(spmd.member_index(), memory.kinds.size, spmd.member_count()):
        h = memory.hashes[lane, c]
        if partial > 1:
            h = hashing.mix(h, partial)
        prefetch(memory.slots, np.int64(h & mask) * SLOT_BYTES)


@njit(forceinline=True, _nrt=False)
def update(memory, first, end, bits, alone):  # type: ignore[no-untyped-def]
    """Learn each lane's bit (L,) int64 0 or 1, after all lanes were predicted, and move on to the next."""
    spmd.block_barrier()
    learn.collect(memory, first, end, bits, alone)
    spmd.block_barrier()
    if not alone:
        learn.settle(memory, first, end, bits)
    spmd.block_barrier()
    if spmd.leads_team():
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            memory.lane[lane, PARTIAL] = memory.lane[lane, PARTIAL] * 2 + bits[lane]
    if spmd.leads_block():
        memory.clock[BIT] += 1
    spmd.block_barrier()
    if alone and memory.clock[BIT] == 3:  # no other lane's work will hide the wait
        for half in range(2):
            fetch(memory, first, memory.lane[first, PARTIAL] * 2 + half)
    if memory.clock[BIT] == 4:
        if not alone:
            for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
                fetch(memory, lane, memory.lane[lane, PARTIAL])
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            slots.find(memory, lane)
        spmd.block_barrier()
        slots.claim(memory, first, end)


@njit(_nrt=False)
def begin(memory, first, end):  # type: ignore[no-untyped-def]
    """Prepare the first byte of every lane. Call once, before the first `predict`."""
    enter_byte(memory, first, end)
    ready_byte(memory, first, end)


@njit(forceinline=True, _nrt=False)
def end_byte(memory, first, end, values, step, alone):  # type: ignore[no-untyped-def]
    """Move on to the next byte; values (L,) int64 are the bytes just coded."""
    if spmd.leads_block():
        memory.clock[STEP] = step
    spmd.block_barrier()
    if spmd.leads_team():
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            memory.text[memory.starts[lane] + step] = values[lane]
            match.fetch(memory, lane, step + 1)
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            past.push_byte(memory, lane, values[lane])
    spmd.block_barrier()
    if spmd.leads_block():
        memory.clock[STEP] = step + 1
        past.choose_rows(memory)
    spmd.block_barrier()
    if spmd.leads_team():
        for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
            match.follow(memory, lane, values[lane])
    spmd.team_barrier()
    enter_byte(memory, first, end)
    match.enter(memory, first, end, alone)
    runs.enter(memory, first, end, values)
    spmd.block_barrier()
    ready_byte(memory, first, end)


@inlined
def enter_byte(memory, first, end):  # type: ignore[no-untyped-def]
    """Contexts of the byte that comes; what they name is fetched while there is other work to do."""
    if spmd.leads_block():
        memory.clock[BIT] = 0
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        if spmd.leads_team():
            memory.lane[lane, PARTIAL] = 1
            learn.judge_haste(memory, lane)
        contexts.hash_contexts(memory, lane)
        fetch(memory, lane, 1)


@inlined
def ready_byte(memory, first, end):  # type: ignore[no-untyped-def]
    """Direct entries, runs and slots for the byte that comes."""
    spmd.team_barrier()
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        for d in range(spmd.member_index(), memory.orders.size, spmd.member_count()):
            order = memory.orders[d]
            entries = memory.map_bases[d + 1] - memory.map_bases[d]
            history = memory.lane[lane, RECENT] & ((1 << (8 * order)) - 1)
            index = history << 8
            if (8 * order + 8 > 16 and index >= entries) or order > 2:
                index = np.int64(hashing.mix(history, order) & uint64(entries // 256 - 1)) << 8
            memory.direct[lane, d] = memory.map_bases[d] + index
        runs.find(memory, lane)
    spmd.team_barrier()
    for lane in range(uint64(first) + spmd.team_index(), uint64(end), spmd.team_count()):
        slots.find(memory, lane)
    spmd.block_barrier()
    slots.claim(memory, first, end)
