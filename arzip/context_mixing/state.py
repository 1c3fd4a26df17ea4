"""The state of context mixing: its arrays, their sizes and initial values.

A named tuple of arrays that the compiled kernels share; every number is an integer. Must not import predictor modules.
"""

from __future__ import annotations

from math import isqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.context_mixing import logistic, ngram_table, state_table
from arzip.context_mixing.profile import Profile
from arzip.context_mixing.state_table import STATES
from arzip.probability import P_ONE

SLOT_BYTES = 16  # a checksum and the states of the 15 nodes of a nibble
MAP_COUNT_BITS = 16  # a map entry, int64: probability in Q22 above its count
INITIAL_ENTRY = P_ONE // 2 << MAP_COUNT_BITS
WEIGHT_BITS = 20  # mixer weights, int32 in Q20
WEIGHT_LIMIT = (1 << 24) - 1
INPUT_ALIGN = 16
APM_STEPS = 25  # entries of an APM stage a context: logits -12 .. 12
LENGTH_BUCKETS, MISS_BUCKETS = 16, 8
LONG_MATCH = 16  # match models of this minimum length insert every n-th position of a large block, n a power of two
STATE_COUNT = 8  # initial count of a context map's entries

# Fields of a lane, int64.
PARTIAL, RECENT, OLDER, WORD, WORD1, WORD2, LINE, LINE1, ORDER, FIRST, CLASSES, LR_SCALE = range(12)
FIELD, FIELD_START, FIELD_HASH, KEY, FIRST_FIELD = range(12, 17)
LANE_FIELDS = 24
FIELDS = 64  # of a line; the last one includes all that follow
INDIRECT_CONTEXTS = (1 << 8) + (1 << 16)  # one-byte and two-byte contexts with the bytes that followed
RUN_KEY, RUN_EXPECTED, RUN_COUNT = range(3)
RUN_FIELDS = 3
RUN_ENTRIES = 256  # entries of a run's map: 32 counts of 8 bits
JOINT_STEPS = 32  # of the second source's logit, each half a unit
JOINT_ENTRIES = STATES * JOINT_STEPS
POINTER, LENGTH, MISS_HISTORY, EXPECTED = range(4)
MATCH_FIELDS = 4
STEP, BIT, RECORD_LENGTH, RECORD_LENGTH2, USE_NETWORK, SIZE = range(6)  # fields of the clock; SIZE: in bytes


class CMState(NamedTuple):
    """All context-mixing state of a block.

    L lanes, C contexts, D direct maps, K match models, R run models, J joint contexts, M maps (APM stages last),
    F APM stages, S weight sets, N mixer inputs.
    """

    clock: NDArray[np.int64]
    text: NDArray[np.uint8]  # the block as far as it is coded, then zeros
    starts: NDArray[np.int64]  # (L,) each lane's first position
    lane: NDArray[np.int64]  # (L, LANE_FIELDS)
    kinds: NDArray[np.int64]  # (C,)
    hashes: NDArray[np.uint64]  # (L, C)
    slot: NDArray[np.int64]  # (L, C) byte offset of the current slot
    checksum: NDArray[np.int64]  # (L, C) checksum, plus REPLACE (hash_table.py)
    slots: NDArray[np.uint8]
    orders: NDArray[np.int64]  # (D,)
    apms: NDArray[np.int64]  # (F,)
    direct: NDArray[np.int64]  # (L, D) map entry of the context
    match: NDArray[np.int64]  # (L, K, MATCH_FIELDS)
    key: NDArray[np.int64]  # (L, K) index in `match_table` of a lane's last bytes; -1: the lane has too few
    min_lengths: NDArray[np.int64]  # (K,)
    match_table: NDArray[np.int64]  # (K, entries) hash -> position
    strides: NDArray[np.int64]  # (K,) positions that are multiples of this are inserted
    maps: NDArray[np.int64]
    map_index: NDArray[np.int64]  # (L, M) entries looked up for this bit; -1: skipped
    map_value: NDArray[np.int64]  # (L, M) values of these entries before the update
    inverted: NDArray[np.int64]  # (L, M) 1: the entry models P(bit = 0)
    limits: NDArray[np.int64]  # (M,)
    inputs: NDArray[np.int32]  # (L, N)
    mixer_contexts: NDArray[np.int64]  # (S,)
    bases: NDArray[np.int64]  # (S + 1,) first row of each weight set
    weight_rows: NDArray[np.int64]  # (L, S + 1) rows in use
    weights: NDArray[np.int32]  # (rows, N)
    layer1_logits: NDArray[np.int64]  # (L, S) in Q8
    layer2_weights: NDArray[np.int64]  # (rows, S)
    output: NDArray[np.int64]  # (L, 2) logit (Q8) and probability (Q22) of layer 2
    next_state: NDArray[np.uint8]  # (256, 2) state and bit -> state
    squash: NDArray[np.int32]
    stretch: NDArray[np.int32]
    reciprocal: NDArray[np.int64]
    rates: NDArray[np.int64]
    map_bases: NDArray[np.int64]  # first entry of each direct map, the match, run and joint maps, each APM stage
    length_votes: NDArray[np.int64]
    last_seen: NDArray[np.int64]  # (L, 256, 2)
    indirect: NDArray[np.int32]  # (L, INDIRECT_CONTEXTS) the last three bytes that followed, or (L, 0)
    fields: NDArray[np.int64]  # (L, 2, FIELDS) starts of the fields of the previous and this line, or (L, 2, 0)
    runs: NDArray[np.int64]  # (R,) indices in `kinds`
    run: NDArray[np.int64]  # (L, R, RUN_FIELDS)
    run_table: NDArray[np.uint32]  # (R, entries) hash -> checksum, count, byte
    joints: NDArray[np.int64]  # (J,) indices in `kinds`
    expected_joints: NDArray[np.int64]  # (K + R,) or (0,) indices among the match and run models
    has_prior: NDArray[np.int64]  # (C,) whether the n-gram table has contexts of this kind
    ngrams: NDArray[np.uint8]  # (rows, 4), or none


WEIGHT_SET_ROWS = (264, 256, 256, 256, 64, 512, 32, 2048, 2048, 257, 256)
LAYER2_ROWS = 256
APM_CONTEXTS = (256, 1 << 16, 1 << 16, 257 << 8)
LENGTH_VOTES = 4096
FIELD_KINDS = (49, 50, 51, 52, 55, 56, 57, 60)  # contexts that need `fields`, KEY or FIRST_FIELD
INDIRECT_KINDS = (53, 54, 61)


def joint_count(profile: Profile) -> int:
    """Number of joint maps: one for each of `joints` and, if there are any, for each match and run model."""
    return len(profile.joints) + len(profile.matches) + len(profile.runs) if profile.joints else 0


def entry_count(profile: Profile) -> int:
    """Number of map entries that a lane looks up for a bit, without APM stages."""
    maps = len(profile.contexts) + len(profile.direct) + len(profile.matches) + len(profile.runs)
    return maps + joint_count(profile)


def input_count(profile: Profile) -> int:
    """Number of mixer inputs: two a map, a constant, two of the network's probability, padded."""
    return -(-(2 * entry_count(profile) + 3) // INPUT_ALIGN) * INPUT_ALIGN


def map_sizes(profile: Profile) -> tuple[int, int, int, int]:
    """Numbers of entries of all context, match, run and joint maps, in the order of `maps`; direct maps are second."""
    return (
        len(profile.contexts) * STATES,
        len(profile.matches) * LENGTH_BUCKETS * MISS_BUCKETS,
        len(profile.runs) * RUN_ENTRIES,
        joint_count(profile) * JOINT_ENTRIES,
    )


def create(
    profile: Profile, starts: NDArray[np.int64], size: int, ngrams: NDArray[np.uint8] = ngram_table.NO_ROWS
) -> CMState:
    """The initial state for a block of `size` bytes whose lanes begin at `starts` (L,); ngrams: the model's table."""
    return CMState(
        text=np.zeros(size + 8, np.uint8),
        ngrams=ngrams,
        **own_arrays(np.zeros(8, np.int64), starts, size),
        **_contexts(profile, len(starts), size, len(ngrams) > 0),
        **_history(profile, len(starts)),
        **_matches(profile, len(starts), size),
        **_runs(profile, len(starts), size),
        **_maps(profile, len(starts), size),
        **_mixer(profile, len(starts)),
    )


def own_arrays(clock: NDArray[np.int64], starts: NDArray[np.int64], size: int) -> dict[str, NDArray[Any]]:
    """The arrays in which the initial states of blocks of one `size_class` and one number of lanes differ.

    clock: that of any of them.
    """
    lane = np.zeros((len(starts), LANE_FIELDS), np.int64)
    lane[:, LINE] = lane[:, LINE1] = lane[:, FIELD_START] = starts
    clock = clock.copy()
    clock[SIZE] = size
    return {"clock": clock, "starts": starts.astype(np.int64), "lane": lane}


def size_class(profile: Profile, size: int) -> tuple[int, ...]:
    """What the shapes of a state depend on, `text` apart, for blocks of `size` bytes."""
    return size.bit_length(), (size - 1).bit_length(), (2 * size * max(len(profile.contexts), 1)).bit_length()


def _contexts(profile: Profile, lanes: int, size: int, has_ngrams: bool) -> dict[str, NDArray[Any]]:
    """Contexts and the hash table of their states."""
    contexts = len(profile.contexts)
    slots_bits = min(profile.slots_bits, max(12, (2 * size * max(contexts, 1)).bit_length() - 1))
    next_state, _ = state_table.state_table()
    return {
        "kinds": np.array(profile.contexts, np.int64),
        "hashes": np.zeros((lanes, contexts), np.uint64),
        "slot": np.zeros((lanes, contexts), np.int64),
        "checksum": np.zeros((lanes, contexts), np.int64),
        "slots": np.zeros((1 << slots_bits) * SLOT_BYTES, np.uint8),
        "next_state": next_state,
        "has_prior": np.array([has_ngrams and kind in ngram_table.KINDS for kind in profile.contexts], np.int64),
    }


def _history(profile: Profile, lanes: int) -> dict[str, NDArray[Any]]:
    """What lane_history.py keeps beside `lane`."""
    indirect = INDIRECT_CONTEXTS * any(kind in INDIRECT_KINDS for kind in profile.contexts)
    fields = FIELDS * any(kind in FIELD_KINDS for kind in profile.contexts)
    return {
        "length_votes": np.zeros(LENGTH_VOTES, np.int64),
        "last_seen": np.zeros((lanes, 256, 2), np.int64),
        "indirect": np.zeros((lanes, indirect), np.int32),
        "fields": np.zeros((lanes, 2, fields), np.int64),
    }


def _matches(profile: Profile, lanes: int, size: int) -> dict[str, NDArray[Any]]:
    """Match models and their tables."""
    models = len(profile.matches)
    match_bits = min(profile.match_bits, max(8, size.bit_length()))
    stride = 1 << max(0, (size - 1).bit_length() - match_bits)
    return {
        "match": np.zeros((lanes, models, MATCH_FIELDS), np.int64),
        "key": np.zeros((lanes, models), np.int64),
        "min_lengths": np.array(profile.matches, np.int64),
        "match_table": np.zeros((models, 1 << match_bits), np.int64),
        "strides": np.array([stride if n >= LONG_MATCH else 1 for n in profile.matches], np.int64),
    }


def _runs(profile: Profile, lanes: int, size: int) -> dict[str, NDArray[Any]]:
    """Run models and their tables."""
    runs = len(profile.runs)
    run_bits = min(profile.run_bits, max(10, (2 * size).bit_length()))
    return {
        "runs": np.array([profile.contexts.index(kind) for kind in profile.runs], np.int64),
        "run": np.zeros((lanes, runs, RUN_FIELDS), np.int64),
        "run_table": np.zeros((runs, 1 << run_bits), np.uint32),
    }


def _maps(profile: Profile, lanes: int, size: int) -> dict[str, NDArray[Any]]:
    """All maps, in one array: context, direct, match, run and joint maps, APM stages; and a lane's entries in them."""
    _, counts = state_table.state_table()
    direct, joints, entries = len(profile.direct), len(profile.joints), entry_count(profile)
    direct_bits = min(profile.direct_bits, max(16, (8 * size).bit_length()))
    state_entries, *sizes = map_sizes(profile)
    direct_bases = np.cumsum([state_entries] + [1 << min(8 + 8 * n, direct_bits) for n in profile.direct])
    match_base, run_base, joint_base, apm_base = (int(base) for base in np.cumsum([direct_bases[-1], *sizes]))
    apms = [APM_CONTEXTS[k] * APM_STEPS for k in profile.apms]
    apm_bases = apm_base + np.cumsum([0, *apms])[:-1]
    maps = np.empty(apm_base + sum(apms), np.int64)
    p = (2 * counts[:, 1].astype(np.int64) + 1) * P_ONE // (2 * counts.sum(axis=1) + 2)
    maps[:state_entries].reshape(-1, STATES)[:] = p << MAP_COUNT_BITS | STATE_COUNT
    maps[state_entries:joint_base] = INITIAL_ENTRY
    squash = logistic.squash_table().astype(np.int64)
    step = squash[logistic.OUTPUT_LIMIT + 128 * np.arange(-16, 16) + 64]
    maps[joint_base:apm_base].reshape(-1, JOINT_STEPS)[:] = step << MAP_COUNT_BITS | 4
    step = squash[logistic.OUTPUT_LIMIT + 256 * np.arange(-12, 13)]
    maps[apm_base:].reshape(-1, APM_STEPS)[:] = step << MAP_COUNT_BITS | 6
    limits = [profile.limit] * len(profile.contexts) + [profile.direct_limit] * direct
    limits += [profile.match_limit] * (len(profile.matches) + len(profile.runs))
    limits += [profile.limit] * joint_count(profile) + [profile.apm_limit] * len(apms)
    return {
        "orders": np.array(profile.direct, np.int64),
        "apms": np.array(profile.apms, np.int64),
        "direct": np.zeros((lanes, direct), np.int64),
        "joints": np.array([profile.contexts.index(kind) for kind in profile.joints], np.int64),
        "expected_joints": np.arange(joint_count(profile) - joints),
        "maps": maps,
        "map_index": np.zeros((lanes, entries + len(apms)), np.int64),
        "map_value": np.zeros((lanes, entries + len(apms)), np.int64),
        "inverted": np.zeros((lanes, entries + len(apms)), np.int64),
        "limits": np.array(limits, np.int64),
        "map_bases": np.array([*direct_bases[:direct], match_base, run_base, joint_base, *apm_bases], np.int64),
        "reciprocal": np.array([(1 << 17) // (2 * n + 3) for n in range(1024)], np.int64),
    }


def _mixer(profile: Profile, lanes: int) -> dict[str, NDArray[Any]]:
    """The mixer's inputs, weights, rates and results, and the logistic tables."""
    entries, inputs, sets = entry_count(profile), input_count(profile), len(profile.mixer_contexts)
    rows = [WEIGHT_SET_ROWS[k] for k in profile.mixer_contexts]
    weights = np.zeros((sum(rows), inputs), np.int32)
    weights[:, : 2 * entries : 2] = (1 << WEIGHT_BITS) * profile.start // (16 * entries)
    divisor = isqrt(65536 * max(1, lanes // 4))  # the lanes' gradients are summed
    rates = [n * 4096 // divisor for n in (profile.rate, profile.rate_extra, profile.layer2_rate)]
    return {
        "inputs": np.zeros((lanes, inputs), np.int32),
        "mixer_contexts": np.array(profile.mixer_contexts, np.int64),
        "bases": np.array([0, *np.cumsum(rows)], np.int64),
        "weight_rows": np.zeros((lanes, sets + 1), np.int64),
        "weights": weights,
        "layer1_logits": np.zeros((lanes, sets), np.int64),
        "layer2_weights": np.full((LAYER2_ROWS, sets), (1 << WEIGHT_BITS) // max(sets, 1), np.int64),
        "output": np.zeros((lanes, 2), np.int64),
        "rates": np.array([*rates, lanes], np.int64),
        "squash": logistic.squash_table(),
        "stretch": logistic.stretch_table(),
    }
