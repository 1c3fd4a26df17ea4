"""The memory's three verbs, for all lanes of a block at once: `predict` a bit, `update`, `end_byte`.

Architecture invariant: `predict` only reads shared state; `update` and `end_byte` merge what lanes write by sums,
maxima, or by clearing, and bring sums into range afterwards, so no order of lanes can be told from the result.
"""

from __future__ import annotations

import numpy as np
from numba import uint64

from arzip.compiled import njit, prefetch
from arzip.memory import contexts, learn, match, mixer, slots
from arzip.memory.spec import (
    APM_STEPS,
    BIT,
    CLASSES,
    EXPECTED,
    LENGTH,
    MAP_COUNT_BITS,
    MATCH_RECORDS,
    NETWORK,
    ORDER,
    PARTIAL,
    RECENT,
    RECORD,
    ROW,
    SLOT_BYTES,
    STEP,
)
from arzip.memory.tables import HISTORIES, OUTPUT_LIMIT, P_ONE


@njit(forceinline=True, _nrt=False)
def gather(memory, lane, network):  # type: ignore[no-untyped-def]
    """Consult every map and turn its opinion into two inputs of the mixer; count the contexts seen before."""
    c_count = memory.kinds.size
    d_count = memory.orders.size
    k_count = memory.shortest.size
    x = memory.inputs
    entry = memory.entry
    old = memory.old
    bit = memory.clock[BIT]
    partial = memory.lane[lane, PARTIAL]
    node = partial if bit < 4 else (partial & ((1 << (bit - 4)) - 1)) | (1 << (bit - 4))
    known = 0
    for c in range(c_count):
        history = np.int64(memory.slots[uint64(memory.slot[lane, c] + node)])
        at = c * HISTORIES + history
        word = memory.maps[uint64(at)]
        entry[lane, c] = at
        old[lane, c] = word
        p = word >> (MAP_COUNT_BITS + 10)
        logit = memory.stretch[uint64(p)]  # looked up in any case: a branch would often be mispredicted
        x[lane, 2 * c] = logit if history else 0
        x[lane, 2 * c + 1] = (p - 2048) >> 1 if history else 0
        known += 1 if history and c < 7 else 0
    memory.lane[lane, ORDER] = known
    for d in range(d_count):
        i = c_count + d
        at = memory.direct[lane, d] + partial
        word = memory.maps[uint64(at)]
        entry[lane, i] = at
        old[lane, i] = word
        p = word >> (MAP_COUNT_BITS + 10)
        x[lane, 2 * i] = memory.stretch[uint64(p)]
        x[lane, 2 * i + 1] = (p - 2048) >> 1
    for k in range(k_count):
        i = c_count + d_count + k
        expected = memory.match[lane, k, EXPECTED] + 255  # the byte with a leading one, if there is one
        if expected >= 256 and expected >> (8 - bit) == partial:
            flip = 1 - ((expected >> (7 - bit)) & 1)
            bucket = match.length_bucket(memory.match[lane, k, LENGTH])
            at = memory.map_bases[d_count] + (k * 16 + bucket) * MATCH_RECORDS
            at += match.record_bucket(memory.match[lane, k, RECORD])
            word = memory.maps[uint64(at)]
            p = word >> (MAP_COUNT_BITS + 10)
            entry[lane, i] = at
            old[lane, i] = word
            memory.flip[lane, i] = flip
            logit = memory.stretch[uint64(p)]
            x[lane, 2 * i] = -logit if flip else logit
            x[lane, 2 * i + 1] = (2048 - p if flip else p - 2048) >> 1
        else:
            entry[lane, i] = -1
            x[lane, 2 * i] = 0
            x[lane, 2 * i + 1] = 0
    i = 2 * (c_count + d_count + k_count)
    x[lane, i] = 256
    if memory.clock[NETWORK]:
        p = network >> 10
        x[lane, i + 1] = memory.stretch[uint64(p)]
        x[lane, i + 2] = (p - 2048) >> 1


@njit(forceinline=True, _nrt=False)
def select(memory, lane, network):  # type: ignore[no-untyped-def]
    """Choose a row of each weight set by the set's small context."""
    bit = memory.clock[BIT]
    partial = memory.lane[lane, PARTIAL]
    last = memory.selectors.size
    for s in range(last):
        kind = memory.selectors[s]
        row = 0
        if kind == 0:
            expected = memory.match[lane, 0, EXPECTED] + 255
            if expected >= 256 and expected >> (8 - bit) == partial:
                row = (
                    1 + min(match.length_bucket(memory.match[lane, 0, LENGTH]), 15) * 2 + ((expected >> (7 - bit)) & 1)
                )
            row = row * 8 + bit
        elif kind == 1:
            row = partial
        elif kind == 2:
            row = memory.lane[lane, RECENT] & 255
        elif kind == 3:
            row = (memory.lane[lane, RECENT] >> 8) & 255
        elif kind == 4:
            row = memory.lane[lane, ORDER] * 8 + bit
        elif kind == 5:
            row = memory.lane[lane, CLASSES] & 511
        elif kind == 6:
            row = (memory.stretch[uint64(network >> 10)] + 2048) >> 7 if memory.clock[NETWORK] else 0
        elif kind == 7:
            length = memory.clock[ROW]
            row = (memory.starts[lane] + memory.clock[STEP]) % length & 255 if length else 0
            row = row * 8 + bit
        elif kind == 8:
            row = (
                (bit << 8)
                | ((memory.lane[lane, RECENT] >> 5) & 7) << 5
                | ((memory.lane[lane, RECENT] >> 13) & 7) << 2
                | ((memory.lane[lane, RECENT] >> 22) & 3)
            )
        memory.chosen[lane, s] = memory.bases[s] + row
    memory.chosen[lane, last] = partial


@njit(forceinline=True, _nrt=False)
def blend(memory, lane):  # type: ignore[no-untyped-def]
    """The mixers: first-layer logits, then the final mixer's logit and probability."""
    total = np.int64(0)
    row = uint64(memory.chosen[lane, memory.selectors.size])
    for s in range(memory.selectors.size):
        logit = mixer.clip(mixer.dot(memory.weights, memory.chosen[lane, s], memory.inputs, lane), OUTPUT_LIMIT)
        memory.mixed[lane, s] = logit
        total += memory.final_weights[row, s] * logit
    logit = mixer.clip((total + (1 << 19)) >> 20, OUTPUT_LIMIT)
    memory.output[lane, 0] = logit
    memory.output[lane, 1] = np.int64(memory.squash[uint64(logit + OUTPUT_LIMIT)])


@njit(forceinline=True, _nrt=False)
def final_entry(memory, lane, f, step):  # type: ignore[no-untyped-def]
    """Index of final map f's entry of this step in the lane's context."""
    partial = memory.lane[lane, PARTIAL]
    kind = memory.finals[f]
    context = partial
    if kind == 1:
        context = (memory.lane[lane, RECENT] & 255) << 8 | partial
    elif kind == 2:
        context = np.int64(contexts.mix(memory.lane[lane, RECENT] & 0xFFFFFF, partial) & uint64(0xFFFF))
    return memory.map_bases[memory.orders.size + 1 + f] + context * APM_STEPS + step


@njit(forceinline=True, _nrt=False)
def fetch_finals(memory, lane):  # type: ignore[no-untyped-def]
    """Have the processor fetch what `refine` may look at: these maps are too large for its caches."""
    for f in range(memory.finals.size):
        if memory.finals[f]:
            at = final_entry(memory, lane, f, np.int64(0))
            for line in range(0, APM_STEPS, 8):
                prefetch(memory.maps, at + line)


@njit(forceinline=True, _nrt=False)
def choose_finals(memory, lane):  # type: ignore[no-untyped-def]
    """The entries of the final maps that the final logit lies on, or the first of the two that it lies between."""
    first = memory.kinds.size + memory.orders.size + memory.shortest.size
    position = min(max(memory.output[lane, 0] + 12 * 256, 0), 24 * 256 - 1)
    for f in range(memory.finals.size):
        at = final_entry(memory, lane, f, position >> 8)
        memory.entry[lane, first + f] = at
        prefetch(memory.maps, at)


@njit(forceinline=True, _nrt=False)
def refine(memory, lane):  # type: ignore[no-untyped-def]
    """The final maps: how often bits given such a probability, in this context, were one. Returns P in Q22."""
    first = memory.kinds.size + memory.orders.size + memory.shortest.size
    position = min(max(memory.output[lane, 0] + 12 * 256, 0), 24 * 256 - 1)
    weight = position & 255
    mean = 2 * memory.output[lane, 1]
    shares = 2
    for f in range(memory.finals.size):
        at = memory.entry[lane, first + f]
        low = memory.maps[uint64(at)]
        high = memory.maps[uint64(at + 1)]
        p = ((low >> MAP_COUNT_BITS) * (256 - weight) + (high >> MAP_COUNT_BITS) * weight) >> 8
        memory.entry[lane, first + f] = at + (weight >> 7)
        memory.old[lane, first + f] = high if weight >> 7 else low
        share = 2 if memory.finals[f] else 1
        mean += p * share
        shares += share
    # divisions by constants are cheap ones
    total = uint64(mean)
    if shares == 3:
        total //= uint64(3)
    elif shares == 5:
        total //= uint64(5)
    elif shares == 7:
        total //= uint64(7)
    else:
        total //= uint64(shares)
    return min(max(np.int64(total), 12), P_ONE - 12)


@njit(forceinline=True, _nrt=False)
def turn(memory, step):  # type: ignore[no-untyped-def]
    """The lanes that are now predicted stand at this step, before their first bit."""
    memory.clock[STEP] = step
    memory.clock[BIT] = 0
    learn.pace(memory)


@njit(forceinline=True, _nrt=False)
def predict(memory, first, end, network, out):  # type: ignore[no-untyped-def]
    """P(bit = 1) in Q22 of each lane's next bit -> out (L,) int64; network (L,) int64: its opinion in Q22."""
    for lane in range(uint64(first), uint64(end)):
        if end - first == 1:
            fetch_finals(memory, lane)
        gather(memory, lane, network[lane])
        select(memory, lane, network[lane])
        blend(memory, lane)
        choose_finals(memory, lane)
    for lane in range(uint64(first), uint64(end)):
        out[lane] = refine(memory, lane)


@njit(forceinline=True, _nrt=False)
def fetch(memory, lane):  # type: ignore[no-untyped-def]
    """Have the processor fetch the slots that `slots.find` will look at: one after the other it would wait for each."""
    mask = uint64(memory.slots.size // SLOT_BYTES - 1)
    partial = memory.lane[lane, PARTIAL]
    for c in range(memory.kinds.size):
        h = memory.hashes[lane, c]
        if partial > 1:
            h = contexts.mix(h, partial)
        prefetch(memory.slots, np.int64(h & mask) * SLOT_BYTES)


@njit(forceinline=True, _nrt=False)
def update(memory, first, end, bits):  # type: ignore[no-untyped-def]
    """Learn each lane's bit (L,) int64 0 or 1, after all lanes were predicted, and move on to the next."""
    learn.collect(memory, first, end, bits)
    learn.settle(memory, first, end, bits)
    for lane in range(uint64(first), uint64(end)):
        memory.lane[lane, PARTIAL] = memory.lane[lane, PARTIAL] * 2 + bits[lane]
    memory.clock[BIT] += 1
    if memory.clock[BIT] == 4:
        for lane in range(uint64(first), uint64(end)):
            fetch(memory, lane)
        for lane in range(uint64(first), uint64(end)):
            slots.find(memory, lane)
        slots.claim(memory, first, end)


@njit(forceinline=True, _nrt=False)
def begin(memory, first, end):  # type: ignore[no-untyped-def]
    """Prepare the first byte of every lane. Call once, before the first `predict`."""
    ready_byte(memory, first, end)


@njit(forceinline=True, _nrt=False)
def end_byte(memory, first, end, values, step):  # type: ignore[no-untyped-def]
    """Move on to the next byte; values (L,) int64 are the bytes just coded."""
    memory.clock[STEP] = step
    for lane in range(uint64(first), uint64(end)):
        memory.text[memory.starts[lane] + step] = values[lane]
    for lane in range(uint64(first), uint64(end)):
        contexts.push_byte(memory, lane, values[lane])
    memory.clock[STEP] = step + 1
    contexts.choose_rows(memory)
    for lane in range(uint64(first), uint64(end)):
        match.follow(memory, lane, values[lane])
    match.enter(memory, first, end)
    ready_byte(memory, first, end)


@njit(forceinline=True, _nrt=False)
def ready_byte(memory, first, end):  # type: ignore[no-untyped-def]
    """Contexts, direct entries and slots for the byte that comes."""
    memory.clock[BIT] = 0
    for lane in range(uint64(first), uint64(end)):
        memory.lane[lane, PARTIAL] = 1
        contexts.hash_contexts(memory, lane)
        for d in range(memory.orders.size):
            order = memory.orders[d]
            entries = memory.map_bases[d + 1] - memory.map_bases[d]
            history = memory.lane[lane, RECENT] & ((1 << (8 * order)) - 1)
            index = history << 8
            if (8 * order + 8 > 16 and index >= entries) or order > 2:
                index = np.int64(contexts.mix(history, order) & uint64(entries // 256 - 1)) << 8
            memory.direct[lane, d] = memory.map_bases[d] + index
        fetch(memory, lane)
    for lane in range(uint64(first), uint64(end)):
        slots.find(memory, lane)
    slots.claim(memory, first, end)
