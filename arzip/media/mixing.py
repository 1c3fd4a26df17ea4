"""Gated logistic mixing of a bit's predictions, and adaptive probability maps: the back end of both predictors.

A mixer has sets of weight vectors, of each of which a context selects one, and a second layer over the sets' logits.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from arzip.context_mixing.logistic import LOGIT_LIMIT, OUTPUT_LIMIT, squash_table, stretch_table
from arzip.jit.compile import inline_njit
from arzip.media.numbers import clip
from arzip.probability import P_BITS, P_ONE

WEIGHT_BITS = 20


class Mixer(NamedTuple):
    """inputs (N,); weights (rows, N) and final (final rows, S) in Q20; bases (S,): where each set's rows begin;
    rows (S + 1,): the rows selected, the last of final; logits (S + 1,), the last the outcome.
    """

    inputs: NDArray[np.int32]
    weights: NDArray[np.int32]
    final: NDArray[np.int64]
    bases: NDArray[np.int64]
    rows: NDArray[np.int64]
    logits: NDArray[np.int64]
    apm: NDArray[np.int64]
    apm_bases: NDArray[np.int64]
    apm_at: NDArray[np.int64]
    squash: NDArray[np.int32]
    stretch: NDArray[np.int32]


APM_STEPS = 25


def create(inputs: int, set_rows: list[int], final_rows: int, apm_rows: list[int], start: list[int]) -> Mixer:
    """A mixer with so many inputs, sets of so many weight vectors, and APM stages of so many contexts;
    start: the weight in Q20 of each input at first."""
    padded = -(-inputs // 8) * 8
    bases = np.cumsum([0, *set_rows[:-1]]).astype(np.int64)
    weights = np.tile(np.array(start + [0] * (padded - inputs), np.int32), (sum(set_rows), 1))
    final = np.full((final_rows, len(set_rows)), (1 << WEIGHT_BITS) // len(set_rows), np.int64)
    curve = squash_table()[[OUTPUT_LIMIT + max(-3072, min(3072, 256 * (i - 12))) for i in range(APM_STEPS)]]
    apm = np.tile(curve.astype(np.int64) << 10 | 6, sum(apm_rows))
    apm_bases = APM_STEPS * np.cumsum([0, *apm_rows[:-1]]).astype(np.int64)
    sets = len(set_rows)
    return Mixer(
        np.zeros(padded, np.int32), weights, final, bases, np.zeros(sets + 1, np.int64), np.zeros(sets + 1, np.int64),
        apm, apm_bases, np.zeros(len(apm_rows) + 1, np.int64), squash_table(), stretch_table(),
    )  # fmt: skip


@inline_njit
def mix(mixer):
    """Both layers -> the final logit in Q8."""
    total = np.int64(0)
    sets = mixer.bases.size
    for s in range(sets):
        row = mixer.bases[s] + mixer.rows[s]
        z = np.int64(0)
        for i in range(mixer.inputs.size):
            z += np.int64(mixer.weights[row, i]) * np.int64(mixer.inputs[i])
        logit = clip((z + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS, -OUTPUT_LIMIT, OUTPUT_LIMIT)
        mixer.logits[s] = logit
        total += mixer.final[mixer.rows[sets], s] * logit
    logit = clip((total + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS, -OUTPUT_LIMIT, OUTPUT_LIMIT)
    mixer.logits[sets] = logit
    return logit


@inline_njit
def refine(mixer, logit, contexts):
    """The mean of squash(logit), twice, and of what each APM stage makes of it in its context (stages,)."""
    at = clip(logit + 3072, 0, 6143)
    i, part = at >> 8, at & 255
    total = 2 * np.int64(mixer.squash[logit + OUTPUT_LIMIT])
    stages = mixer.apm_bases.size
    for stage in range(stages):
        base = mixer.apm_bases[stage] + APM_STEPS * contexts[stage] + i
        low, high = mixer.apm[base] >> 10, mixer.apm[base + 1] >> 10
        total += (low * (256 - part) + high * part) >> 8
        mixer.apm_at[stage] = base + (1 if part >= 128 else 0)
    return clip(total // (2 + stages), 12, P_ONE - 12)


@inline_njit
def update(mixer, bit, rate, final_rate, apm_limit):
    """Train the rows that were used, and the APM entries, by the bit that came."""
    sets = mixer.bases.size
    target = np.int64(bit) << P_BITS
    err = ((target - np.int64(mixer.squash[mixer.logits[sets] + OUTPUT_LIMIT])) * final_rate) >> 10
    for s in range(sets):
        mixer.final[mixer.rows[sets], s] += (mixer.logits[s] * err + (1 << 11)) >> 12
    for s in range(sets):
        row = mixer.bases[s] + mixer.rows[s]
        step = np.int32(((target - np.int64(mixer.squash[mixer.logits[s] + OUTPUT_LIMIT])) * rate) >> 10)
        for i in range(mixer.inputs.size):
            change = (np.int64(step) * np.int64(mixer.inputs[i]) + (1 << 11)) >> 12
            mixer.weights[row, i] = clip(np.int64(mixer.weights[row, i]) + change, -(1 << 26), 1 << 26)
    goal = P_ONE - 1 if bit else 0
    for stage in range(mixer.apm_bases.size):
        move(mixer.apm, mixer.apm_at[stage], goal, apm_limit)


@inline_njit
def move(entries, at, goal, limit):
    """Move an entry, a probability in Q22 above a count of 10 bits, towards 0 or P_ONE - 1, by its count's rate."""
    p, count = entries[at] >> 10, entries[at] & 1023
    p += (goal - p) * 2 // (2 * count + 3)
    entries[at] = p << 10 | min(count + 1, limit)


assert LOGIT_LIMIT == 2047
