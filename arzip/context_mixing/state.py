"""The memory's shape: profiles, the arrays of its state, and how they start.

The state is a named tuple of arrays that the compiled kernels share; every number is an integer.
This module must not know how a prediction is made.
"""

from __future__ import annotations

from math import isqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.context_mixing import logistic as tables
from arzip.context_mixing import ngram_table as ngrams
from arzip.context_mixing import state_table
from arzip.context_mixing.profile import Profile
from arzip.context_mixing.state_table import HISTORIES
from arzip.probability import P_ONE

SLOT_BYTES = 16  # a check byte and the histories of the 15 nodes of a nibble
MAP_COUNT_BITS = 16  # a map entry, int64: probability in Q22 above its count
ENTRY_START = P_ONE // 2 << MAP_COUNT_BITS
WEIGHT_BITS = 20  # mixer weights, int32 in Q20
WEIGHT_LIMIT = (1 << 24) - 1
INPUT_ALIGN = 16
APM_STEPS = 25  # buckets of a final map: logits -12 .. 12
MATCH_BUCKETS, MATCH_RECORDS = 16, 8
LONG_MATCH = 16  # models of matches as long as this remember every n-th place of a large block, n a power of two
HISTORY_START = 8  # count that a map entry of a bit history starts with

# Fields of a lane, int64.
PARTIAL, RECENT, OLDER, WORD, WORD1, WORD2, LINE, LINE1, ORDER, FIRST, CLASSES, HASTE = range(12)
FIELD, FIELD_START, FIELD_HASH, KEY, LINE_WORD = range(12, 17)
LANE_FIELDS = 24
FIELDS = 64  # of a line; what follows counts as the last one
FOLLOWERS = (1 << 8) + (1 << 16)  # contexts of one byte and of two whose last followers are kept
RUN, RUN_EXPECTED, RUN_COUNT = range(3)
RUN_FIELDS = 3
RUN_RECORDS = 256  # entries of a run's map: 32 counts of 8 bits
JOINT_STEPS = 32  # of the second opinion's logit, each half a unit
JOINT_ENTRIES = HISTORIES * JOINT_STEPS
POINTER, LENGTH, RECORD, EXPECTED = range(4)
MATCH_FIELDS = 4
STEP, BIT, ROW, ROW2, NETWORK = range(5)  # fields of the clock


class Memory(NamedTuple):
    """All state of a block's memory; L lanes, C contexts, D direct contexts, K match models, R runs, N inputs."""

    clock: NDArray[np.int64]
    text: NDArray[np.uint8]  # the block, as far as it is known; zeros beyond
    starts: NDArray[np.int64]  # (L,) where each lane's part begins
    lane: NDArray[np.int64]  # (L, LANE_FIELDS)
    kinds: NDArray[np.int64]  # (C,)
    hashes: NDArray[np.uint64]  # (L, C)
    slot: NDArray[np.int64]  # (L, C) byte offset of the current slot
    check: NDArray[np.int64]  # (L, C) check byte, and whether the slot is to be taken over
    slots: NDArray[np.uint8]
    orders: NDArray[np.int64]  # (D,)
    finals: NDArray[np.int64]  # (F,)
    direct: NDArray[np.int64]  # (L, D) map entry of the context
    match: NDArray[np.int64]  # (L, K, MATCH_FIELDS)
    key: NDArray[np.int64]  # (L, K) where `recent` holds a lane's last bytes; -1: it has too few
    shortest: NDArray[np.int64]  # (K,)
    recent: NDArray[np.int64]  # (K, entries) hash -> position
    strides: NDArray[np.int64]  # (K,) every which position is entered
    maps: NDArray[np.int64]
    entry: NDArray[np.int64]  # (L, M) which entries the lane consulted
    old: NDArray[np.int64]  # (L, M) what they held
    flip: NDArray[np.int64]  # (L, M) 1: the entry is about the bit being 0
    limits: NDArray[np.int64]  # (M,)
    inputs: NDArray[np.int32]  # (L, N)
    selectors: NDArray[np.int64]  # (S,)
    bases: NDArray[np.int64]  # (S + 1,) first row of each weight set
    chosen: NDArray[np.int64]  # (L, S + 1) rows in use
    weights: NDArray[np.int32]  # (rows, N)
    mixed: NDArray[np.int64]  # (L, S) logits of the first layer
    final_weights: NDArray[np.int64]  # (rows, S)
    output: NDArray[np.int64]  # (L, 2) logit and probability of the final mixer
    history: NDArray[np.uint8]  # (256, 2)
    squash: NDArray[np.int32]
    stretch: NDArray[np.int32]
    reciprocal: NDArray[np.int64]
    rates: NDArray[np.int64]
    map_bases: NDArray[np.int64]  # of each direct map, the match, run and joint maps, each final map
    votes: NDArray[np.int64]
    last_seen: NDArray[np.int64]  # (L, 256, 2)
    followers: NDArray[np.int32]  # (L, FOLLOWERS) the last three bytes that followed, or (L, 0)
    fields: NDArray[np.int64]  # (L, 2, FIELDS) where fields of the line before and of this one start, or (L, 2, 0)
    runs: NDArray[np.int64]  # (R,) places in `kinds`
    run: NDArray[np.int64]  # (L, R, RUN_FIELDS)
    run_table: NDArray[np.uint32]  # (R, entries) hash -> check, count, byte
    joints: NDArray[np.int64]  # (J,) places in `kinds`
    expected_joints: NDArray[np.int64]  # (K + R,) or (0,) places among the maps that expect a byte
    counted: NDArray[np.int64]  # (C,) whether the primed n-grams are about this kind
    ngrams: NDArray[np.uint8]  # (rows, 4), or none


SELECTOR_ROWS = (264, 256, 256, 256, 64, 512, 32, 2048, 2048, 257, 256)
FINAL_ROWS = 256
FINAL_CONTEXTS = (256, 1 << 16, 1 << 16, 257 << 8)
VOTES = 4096
FIELD_KINDS = (49, 50, 51, 52, 55, 56, 57, 60)  # contexts that need `fields`, KEY or LINE_WORD
FOLLOWER_KINDS = (53, 54, 61)


def joint_count(profile: Profile) -> int:
    """Joint maps: the profile's own and, if there are any, one for each match and run."""
    return len(profile.joints) + len(profile.matches) + len(profile.runs) if profile.joints else 0


def entry_count(profile: Profile) -> int:
    """Map entries that a lane consults for a bit, final maps not counted."""
    maps = len(profile.contexts) + len(profile.direct) + len(profile.matches) + len(profile.runs)
    return maps + joint_count(profile)


def input_count(profile: Profile) -> int:
    """Inputs of the mixer: two a map, a constant, two of the network's opinion, padded."""
    return -(-(2 * entry_count(profile) + 3) // INPUT_ALIGN) * INPUT_ALIGN


def map_sizes(profile: Profile) -> tuple[int, int, int, int]:
    """Entries of all histories' maps, match, run and joint maps. So they stand, the direct maps behind the first."""
    return (
        len(profile.contexts) * HISTORIES,
        len(profile.matches) * MATCH_BUCKETS * MATCH_RECORDS,
        len(profile.runs) * RUN_RECORDS,
        joint_count(profile) * JOINT_ENTRIES,
    )


def create(profile: Profile, starts: NDArray[np.int64], size: int, known: NDArray[np.uint8] = ngrams.NO_ROWS) -> Memory:
    """An empty memory for a block of `size` bytes whose lanes begin at `starts`; known: the model's n-grams."""
    history, counts = state_table.history_tables()
    lanes, contexts, direct, models = len(starts), len(profile.contexts), len(profile.direct), len(profile.matches)
    slots_bits = min(profile.slots_bits, max(12, (2 * size * max(contexts, 1)).bit_length() - 1))
    direct_bits = min(profile.direct_bits, max(16, (8 * size).bit_length()))
    match_bits = min(profile.match_bits, max(8, size.bit_length()))
    stride = 1 << max(0, (size - 1).bit_length() - match_bits)
    runs, joints = len(profile.runs), len(profile.joints)
    expected_joints, entries = joint_count(profile) - joints, entry_count(profile)
    run_bits = min(profile.run_bits, max(10, (2 * size).bit_length()))
    history_size, *sizes = map_sizes(profile)
    direct_bases = np.cumsum([history_size] + [1 << min(8 + 8 * n, direct_bits) for n in profile.direct])
    match_base, run_base, joint_base, final_base = (int(base) for base in np.cumsum([direct_bases[-1], *sizes]))
    finals = [FINAL_CONTEXTS[k] for k in profile.finals]
    bases = final_base + np.cumsum([0, *(n * APM_STEPS for n in finals)])[:-1]
    maps = np.empty(final_base + sum(finals) * APM_STEPS, np.int64)
    maps[history_size:joint_base] = ENTRY_START
    step = tables.squash_table()[tables.OUTPUT_LIMIT + 128 * np.arange(-16, 16) + 64].astype(np.int64)
    maps[joint_base:final_base].reshape(-1, JOINT_STEPS)[:] = step << MAP_COUNT_BITS | 4
    p = (2 * counts[:, 1].astype(np.int64) + 1) * P_ONE // (2 * counts.sum(axis=1) + 2)
    maps[:history_size].reshape(-1, HISTORIES)[:] = p << MAP_COUNT_BITS | HISTORY_START
    step = tables.squash_table()[tables.OUTPUT_LIMIT + 256 * np.arange(-12, 13)].astype(np.int64)
    maps[final_base:].reshape(-1, APM_STEPS)[:] = step << MAP_COUNT_BITS | 6
    inputs = input_count(profile)
    crowd = isqrt(65536 * max(1, lanes // 4))  # what some lanes teach at once, each from little text, is added up
    sets = len(profile.selectors)
    rows = [SELECTOR_ROWS[k] for k in profile.selectors]
    weights = np.zeros((sum(rows), inputs), np.int32)
    weights[:, : 2 * entries : 2] = (1 << WEIGHT_BITS) * profile.start // (16 * entries)
    lane = np.zeros((lanes, LANE_FIELDS), np.int64)
    lane[:, LINE] = lane[:, LINE1] = lane[:, FIELD_START] = starts
    limits = [profile.limit] * contexts + [profile.direct_limit] * direct + [profile.match_limit] * (models + runs)
    limits += [profile.limit] * (joints + expected_joints)
    fields = FIELDS * any(kind in FIELD_KINDS for kind in profile.contexts)
    followers = FOLLOWERS * any(kind in FOLLOWER_KINDS for kind in profile.contexts)
    places = {kind: place for place, kind in enumerate(profile.contexts)}
    return Memory(
        clock=np.zeros(8, np.int64),
        text=np.zeros(size + 8, np.uint8),
        starts=starts.astype(np.int64),
        lane=lane,
        kinds=np.array(profile.contexts, np.int64),
        hashes=np.zeros((lanes, contexts), np.uint64),
        slot=np.zeros((lanes, contexts), np.int64),
        check=np.zeros((lanes, contexts), np.int64),
        slots=np.zeros((1 << slots_bits) * SLOT_BYTES, np.uint8),
        orders=np.array(profile.direct, np.int64),
        finals=np.array(profile.finals, np.int64),
        direct=np.zeros((lanes, direct), np.int64),
        match=np.zeros((lanes, models, MATCH_FIELDS), np.int64),
        key=np.zeros((lanes, models), np.int64),
        shortest=np.array(profile.matches, np.int64),
        recent=np.zeros((models, 1 << match_bits), np.int64),
        strides=np.array([stride if n >= LONG_MATCH else 1 for n in profile.matches], np.int64),
        maps=maps,
        entry=np.zeros((lanes, entries + len(finals)), np.int64),
        old=np.zeros((lanes, entries + len(finals)), np.int64),
        flip=np.zeros((lanes, entries + len(finals)), np.int64),
        limits=np.array(limits + [profile.apm_limit] * len(finals), np.int64),
        inputs=np.zeros((lanes, inputs), np.int32),
        selectors=np.array(profile.selectors, np.int64),
        bases=np.array([0, *np.cumsum(rows)], np.int64),
        chosen=np.zeros((lanes, sets + 1), np.int64),
        weights=weights,
        mixed=np.zeros((lanes, sets), np.int64),
        final_weights=np.full((FINAL_ROWS, sets), (1 << WEIGHT_BITS) // max(sets, 1), np.int64),
        output=np.zeros((lanes, 2), np.int64),
        history=history,
        squash=tables.squash_table(),
        stretch=tables.stretch_table(),
        reciprocal=np.array([(1 << 17) // (2 * n + 3) for n in range(1024)], np.int64),
        rates=np.array(
            [
                *(n * 4096 // crowd for n in (profile.rate, profile.rate_extra, profile.final_rate)),
                lanes,
            ],
            np.int64,
        ),
        map_bases=np.array([*direct_bases[:direct], match_base, run_base, joint_base, *bases], np.int64),
        votes=np.zeros(VOTES, np.int64),
        last_seen=np.zeros((lanes, 256, 2), np.int64),
        followers=np.zeros((lanes, followers), np.int32),
        fields=np.zeros((lanes, 2, fields), np.int64),
        runs=np.array([places[kind] for kind in profile.runs], np.int64),
        run=np.zeros((lanes, runs, RUN_FIELDS), np.int64),
        run_table=np.zeros((runs, 1 << run_bits), np.uint32),
        joints=np.array([places[kind] for kind in profile.joints], np.int64),
        expected_joints=np.arange(expected_joints),
        counted=np.array([kind in ngrams.KINDS and len(known) > 0 for kind in profile.contexts], np.int64),
        ngrams=known,
    )
