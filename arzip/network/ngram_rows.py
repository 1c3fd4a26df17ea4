"""Rows of the n-gram tables from the bytes a lane has seen, for every implementation of the step.

train/ngram_rows.py is the same in torch; tests compare the two.

A lane's context is three uint64: the last eight bytes (newest lowest), the hash of the current word so far, and the
hash of the previous word. All are zero at the start of a lane.
"""

from __future__ import annotations

import numpy as np
from numpy import uint64
from numpy.typing import NDArray

from arzip.jit.compile import njit
from arzip.network.config import MULTIPLIER, WORD_MULTIPLIER

HISTORY, WORD, PREVIOUS = 0, 1, 2
CONTEXT_FIELDS = 3


@njit(inline="always")
def push_byte(context, byte):
    """Update one lane's context (3,) uint64 in place with the byte it has just seen."""
    context[HISTORY] = (context[HISTORY] << uint64(8)) | uint64(byte)
    if 65 <= byte <= 90:
        byte += 32
    if 97 <= byte <= 122 or byte >= 128:
        context[WORD] = (context[WORD] + uint64(byte) + uint64(1)) * uint64(WORD_MULTIPLIER)
    elif context[WORD] != uint64(0):
        context[PREVIOUS] = context[WORD]
        context[WORD] = uint64(0)


@njit(inline="always")
def table_row(context, order, row_bits):
    """Row of the table of this byte order (0: the word table) for one lane's context."""
    if order == 0:
        key = context[WORD] * uint64(WORD_MULTIPLIER) + context[PREVIOUS]
    else:
        key = context[HISTORY] & ((uint64(1) << uint64(8 * order)) - uint64(1))
        if order == 2:
            return np.int64(key)
    return np.int64((key * uint64(MULTIPLIER)) >> uint64(64 - row_bits))


@njit()
def window_rows(
    text: NDArray[np.uint8],
    contexts: NDArray[np.uint64],
    orders: NDArray[np.int64],
    row_bits: int,
    rows: NDArray[np.int64],
) -> None:
    """Teacher forcing: rows (T, B, tables) that predict text (B, T) uint8; contexts (B, 3) move past it.

    rows[t, b] belongs to the context *before* text[b, t]. `orders` ends with 0, the word table.
    """
    for b in range(text.shape[0]):
        for t in range(text.shape[1]):
            for k in range(orders.size):
                rows[t, b, k] = table_row(contexts[b], orders[k], row_bits)
            push_byte(contexts[b], np.int64(text[b, t]))
