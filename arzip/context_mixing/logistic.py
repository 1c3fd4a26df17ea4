"""Constant tables of the memory, computed from integers alone (no libm): logistic, its inverse, bit histories.

Probabilities are P(bit = 1) in Q22 (k / 2**22). Logits ("stretch domain") are in Q8: ln(p / (1 - p)) * 256.
This module must not know what a context, a mixer or a lane is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

P_BITS = 22
P_ONE = 1 << P_BITS
LOGIT_LIMIT = 2047  # inputs of the mixer: |logit| < 8
OUTPUT_LIMIT = 3200  # final logits: |logit| <= 12.5, so P(the likelier bit) can come within 2**-18 of 1

HISTORIES = 256
EXACT_LENGTH = 4  # histories of up to this many bits are kept bit for bit
COUNT_LIMITS = (41, 24, 10, 7, 6, 5)  # largest count of the commoner bit, by the count of the rarer one
PRIMED = 183  # histories from here on stand for counts that the model file brought (ngram_table.py), not for bits seen
PRIMED_COUNTS = (0, 1, 2, 3, 6, 11, 20, 41)  # what a class of counts stands for
PRIMED_CLASSES = len(PRIMED_COUNTS)
PRIMED_LIMIT = 24  # counts that outlive the first bit seen


@lru_cache(maxsize=1)
def squash_table() -> NDArray[np.int32]:
    """Entry OUTPUT_LIMIT + x, for a logit x in Q8: the probability 1 / (1 + exp(-x)) in Q22, rounded."""
    one = 1 << 160
    step, term, k = one, one, 1
    while term:  # exp(1 / 256) by its series
        term //= 256 * k
        step += term
        k += 1
    table = np.empty(2 * OUTPUT_LIMIT + 1, np.int32)
    exponential = one
    for x in range(OUTPUT_LIMIT + 1):
        positive = (2 * P_ONE * exponential + exponential + one) // (2 * (exponential + one))
        table[OUTPUT_LIMIT + x] = positive
        table[OUTPUT_LIMIT - x] = P_ONE - positive
        exponential = exponential * step // one
    return table


@lru_cache(maxsize=1)
def stretch_table() -> NDArray[np.int32]:
    """Entry p, for a probability p in Q12: the logit in Q8 at the middle of the step, within LOGIT_LIMIT."""
    squash = squash_table()
    middle = (2 * np.arange(1 << 11, 1 << 12, dtype=np.int64) + 1) << (P_BITS - 13)
    x = np.searchsorted(squash, middle).astype(np.int64)  # squash[x - 1] < middle <= squash[x]
    x -= middle - squash[x - 1] < squash[x] - middle
    upper = np.clip(x - OUTPUT_LIMIT, 0, LOGIT_LIMIT).astype(np.int32)
    return np.concatenate([-upper[::-1], upper])


def _after(zeros: int, ones: int, bit: int) -> tuple[int, int]:
    """Counts after one more bit: old evidence for the other bit is discounted, then both are kept in range."""
    same, other = (ones, zeros) if bit else (zeros, ones)
    same += 1
    if other > 2:
        other = other.bit_length()
    while other >= len(COUNT_LIMITS) or (other > same and same >= len(COUNT_LIMITS)):
        other -= 1
    rarer = min(same, other)
    limit = COUNT_LIMITS[rarer]
    same, other = min(same, limit), min(other, limit)
    return (other, same) if bit else (same, other)


def _kept(zeros: int, ones: int) -> tuple[int, int]:
    """Counts that the model file brought, as small, in about their proportion, as the automaton holds them."""
    rarer, commoner = sorted((zeros, ones))
    for r in range(min(rarer, len(COUNT_LIMITS) - 1), 0, -1):
        c = (2 * commoner * r + rarer) // (2 * rarer)
        if c <= COUNT_LIMITS[r] and r + c <= PRIMED_LIMIT:
            break
    else:
        r, c = min(rarer, 1), min(commoner, COUNT_LIMITS[min(rarer, 1)], PRIMED_LIMIT - min(rarer, 1))
    return (r, c) if zeros < ones else (c, r)


@lru_cache(maxsize=1)
def history_tables() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Bit histories as a finite automaton: (next (256, 2), counts (256, 2) of zeros and ones).

    History 0 is "nothing seen". A larger number, below PRIMED, never has fewer bits behind it, so that the larger of
    two numbers is the better informed one. From PRIMED on: counts that the model file brought, by their classes.
    """
    start = ("", 0, 0, -1)

    def advance(history: tuple[str, int, int, int], bit: int) -> tuple[str, int, int, int]:
        text, zeros, ones, _ = history
        if len(text) == zeros + ones and len(text) < EXACT_LENGTH:
            return (text + str(bit), zeros + (bit == 0), ones + (bit == 1), -1)
        zeros, ones = _after(zeros, ones, bit)
        return ("", zeros, ones, bit)

    found = {start}
    frontier = [start]
    while frontier:
        frontier = [h for old in frontier for h in (advance(old, 0), advance(old, 1)) if h not in found]
        frontier = list(dict.fromkeys(frontier))
        found.update(frontier)
    order = sorted(found, key=lambda h: (h[1] + h[2], h))
    assert len(order) == PRIMED and order[0] == start
    index = {h: i for i, h in enumerate(order)}
    following = np.zeros((HISTORIES, 2), np.uint8)
    counts = np.zeros((HISTORIES, 2), np.int32)
    for h, i in index.items():
        following[i] = index[advance(h, 0)], index[advance(h, 1)]
        counts[i] = h[1], h[2]
    for k in range(1, PRIMED_CLASSES**2):
        i, brought = PRIMED - 1 + k, (PRIMED_COUNTS[k // PRIMED_CLASSES], PRIMED_COUNTS[k % PRIMED_CLASSES])
        counts[i] = brought
        for bit in range(2):
            zeros, ones = _after(*_kept(*brought), bit)
            near = [(abs(h[1] - zeros) + abs(h[2] - ones), h[3] != bit, n) for n, h in enumerate(order)]
            following[i, bit] = min(near)[2]
    return following, counts
