"""The state table of bit histories: next state on a bit, and the counts of zeros and ones that a state stands for.

Must not import contexts, maps or lanes.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

STATES = 256
EXACT_LENGTH = 4  # histories of up to this many bits are stored exactly
COUNT_LIMITS = (41, 24, 10, 7, 6, 5)  # largest count of the commoner bit, by the count of the rarer one
FIRST_PRIOR = 183  # states from here on stand for counts of the n-gram table, not for bits seen
PRIOR_COUNTS = (0, 1, 2, 3, 6, 11, 20, 41)  # the count that each class stands for
PRIOR_CLASSES = len(PRIOR_COUNTS)
PRIOR_LIMIT = 24  # largest sum of prior counts after the first bit seen


def _after(zeros: int, ones: int, bit: int) -> tuple[int, int]:
    """Counts after one more bit: the other bit's count is discounted, then both are limited."""
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


def _scaled(zeros: int, ones: int) -> tuple[int, int]:
    """Prior counts scaled down, in about their proportion, to counts that the automaton has."""
    rarer, commoner = sorted((zeros, ones))
    for r in range(min(rarer, len(COUNT_LIMITS) - 1), 0, -1):
        c = (2 * commoner * r + rarer) // (2 * rarer)
        if c <= COUNT_LIMITS[r] and r + c <= PRIOR_LIMIT:
            break
    else:
        r, c = min(rarer, 1), min(commoner, COUNT_LIMITS[min(rarer, 1)], PRIOR_LIMIT - min(rarer, 1))
    return (r, c) if zeros < ones else (c, r)


@lru_cache(maxsize=1)
def state_table() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """Bit histories as a finite automaton: (next state (256, 2), counts (256, 2) of zeros and ones).

    State 0 is the empty history. Below FIRST_PRIOR, states are ordered by the number of bits in their counts, so the
    larger of two states has at least as much evidence. From FIRST_PRIOR on: pairs of classes of prior counts.
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
    assert len(order) == FIRST_PRIOR and order[0] == start
    index = {h: i for i, h in enumerate(order)}
    next_state = np.zeros((STATES, 2), np.uint8)
    counts = np.zeros((STATES, 2), np.int32)
    for h, i in index.items():
        next_state[i] = index[advance(h, 0)], index[advance(h, 1)]
        counts[i] = h[1], h[2]
    known, last = counts[:FIRST_PRIOR].copy(), np.array([h[3] for h in order])
    for k in range(1, PRIOR_CLASSES**2):
        i, prior = FIRST_PRIOR - 1 + k, (PRIOR_COUNTS[k // PRIOR_CLASSES], PRIOR_COUNTS[k % PRIOR_CLASSES])
        counts[i] = prior
        for bit in range(2):
            distances = np.abs(known - _after(*_scaled(*prior), bit)).sum(1)
            next_state[i, bit] = (2 * distances + (last != bit)).argmin()  # the first of equals
    return next_state, counts
