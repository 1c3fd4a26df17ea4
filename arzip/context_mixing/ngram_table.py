"""The n-gram table: prior states of a replaced slot, for contexts that were counted over the training mix.

(N, 4) uint8, read only, N a power of two. A row holds a checksum and the three most frequent nibbles of a context, each
in the high half of a byte whose low half is a level that stands for the count. Must not import training code.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from arzip.context_mixing.state_table import FIRST_PRIOR, PRIOR_CLASSES
from arzip.jit import spmd
from arzip.jit.compile import inline_njit, prefetch

ROW_BYTES = 4
PAIRS = ROW_BYTES - 1
KINDS = (1, 2, 3, 4, 5, 6, 10, 11)  # of contexts (contexts.py) that are counted
LEVEL_COUNTS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 29, 35, 41)
CLASS_STARTS = (0, 1, 2, 3, 5, 9, 15, 29)  # a node's count of zeros, or of ones, is one of these classes
NO_ROWS: NDArray[np.uint8] = np.zeros((0, ROW_BYTES), np.uint8)

assert len(CLASS_STARTS) == PRIOR_CLASSES


def class_table() -> NDArray[np.int64]:
    """Class of each count, from 0 to the largest sum of three levels: (n,) int64."""
    counts = np.arange(PAIRS * LEVEL_COUNTS[-1] + 1)
    return np.searchsorted(np.array(CLASS_STARTS), counts, "right") - 1


_LEVELS = np.array(LEVEL_COUNTS, np.int64)
_CLASSES = class_table()


@inline_njit
def row_of(h, rows):
    """Row r of a hash; its context is in row r or r ^ 1, if in any."""
    return np.int64((h >> uint64(24)) & uint64(rows - 1))


@inline_njit
def checksum_of(h):
    """Checksum (a byte) of a hash."""
    return np.int64((h >> uint64(48)) & uint64(255))


@inline_njit
def prefetch_row(rows, h):
    """Prefetch the row that `fill_slot` will read. The table must have rows."""
    prefetch(rows, row_of(h, rows.shape[0]) * ROW_BYTES)


@inline_njit
def fill_slot(rows, h, slots, at):
    """Set the states of the cleared slot at byte `at` from the row of the context with hash h, if there is one."""
    row = row_of(h, rows.shape[0])
    checksum = checksum_of(h)
    if rows[row, 1] == 0 or np.int64(rows[row, 0]) != checksum:
        row ^= 1
        if rows[row, 1] == 0 or np.int64(rows[row, 0]) != checksum:
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
                state = FIRST_PRIOR - 1 + _CLASSES[zeros] * PRIOR_CLASSES + _CLASSES[ones]
                spmd.atomic_max(slots, at + node, state)
