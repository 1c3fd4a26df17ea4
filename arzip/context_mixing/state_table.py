"""The automaton of bit histories: which one follows on a bit, and the counts of zeros and ones that each stands for.

Must not know what a context, a map or a lane is.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

HISTORIES = 256
EXACT_LENGTH = 4  # histories of up to this many bits are kept bit for bit
COUNT_LIMITS = (41, 24, 10, 7, 6, 5)  # largest count of the commoner bit, by the count of the rarer one
PRIMED = 183  # histories from here on stand for counts that the model file brought (ngram_table.py), not for bits seen
PRIMED_COUNTS = (0, 1, 2, 3, 6, 11, 20, 41)  # what a class of counts stands for
PRIMED_CLASSES = len(PRIMED_COUNTS)
PRIMED_LIMIT = 24  # counts that outlive the first bit seen


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
