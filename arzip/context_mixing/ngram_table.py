"""Counted n-grams: what a slot that is taken over starts with, where the model file knows its context.

A read-only table (N, 4) uint8, N a power of two, of nibble contexts counted over the training mix: a check byte and
the three likeliest nibbles, each beside a level that stands for its count. Must not know how it was counted.
"""

from __future__ import annotations

import numpy as np
from numba import uint64
from numpy.typing import NDArray

from arzip.context_mixing.state_table import PRIMED, PRIMED_CLASSES
from arzip.jit import spmd
from arzip.jit.compile import inlined, prefetch

ROW_BYTES = 4
PAIRS = ROW_BYTES - 1
KINDS = (1, 2, 3, 4, 5, 6, 10, 11)  # of contexts (contexts.py) that are counted
LEVEL_COUNTS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 29, 35, 41)
CLASS_STARTS = (0, 1, 2, 3, 5, 9, 15, 29)  # a node's count of zeros, or of ones, is one of these classes
NO_ROWS: NDArray[np.uint8] = np.zeros((0, ROW_BYTES), np.uint8)

assert len(CLASS_STARTS) == PRIMED_CLASSES


def class_table() -> NDArray[np.int64]:
    """Count, up to the sum of three levels -> its class."""
    counts = np.arange(PAIRS * LEVEL_COUNTS[-1] + 1)
    return np.searchsorted(np.array(CLASS_STARTS), counts, "right") - 1


_LEVELS = np.array(LEVEL_COUNTS, np.int64)
_CLASSES = class_table()


@inlined
def row_of(h, rows):  # type: ignore[no-untyped-def]
    """The first of the two neighbouring rows (r and r ^ 1) where a context of this hash may stand."""
    return np.int64((h >> uint64(24)) & uint64(rows - 1))


@inlined
def check_of(h):  # type: ignore[no-untyped-def]
    """The check byte of a hash."""
    return np.int64((h >> uint64(48)) & uint64(255))


@inlined
def fetch(rows, h):  # type: ignore[no-untyped-def]
    """Have the processor fetch what `fill` will look at; there must be rows."""
    prefetch(rows, row_of(h, rows.shape[0]) * ROW_BYTES)


@inlined
def fill(rows, h, slots, at):  # type: ignore[no-untyped-def]
    """Bring a cleared slot at byte `at` to what the table knows of the context with hash h."""
    row = row_of(h, rows.shape[0])
    check = check_of(h)
    if rows[row, 1] == 0 or np.int64(rows[row, 0]) != check:
        row ^= 1
        if rows[row, 1] == 0 or np.int64(rows[row, 0]) != check:
            return
    for depth in range(4):
        for node in range(1 << depth, 2 << depth):
            zeros = 0
            ones = 0
            for k in range(1, ROW_BYTES):
                pair = np.int64(rows[row, k])
                if (pair >> 4 | 16) >> (4 - depth) == node:
                    count = _LEVELS[pair & 15]
                    if pair >> (7 - depth) & 1:
                        ones += count
                    else:
                        zeros += count
            if zeros + ones:
                state = PRIMED - 1 + _CLASSES[zeros] * PRIMED_CLASSES + _CLASSES[ones]
                spmd.atomic_max(slots, at + node, state)
