"""Constants of deflate (RFC 1951), and the layout of tokens and block headers that the other modules share.

A token is length | distance << 9: (1, 0) a literal; length 259 is a match of 258 spelt as code 284 with extra bits 31.
A block header is a row of int16: HLIT, HDIST, HCLEN, the 19 lengths of the code-length code by symbol, the number of
operations, and the operations (code-length symbol | extra bits << 8).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MIN_MATCH, MAX_MATCH = 3, 258
IRREGULAR = 259  # token length: 258 in its long spelling
LENGTH_BITS = 9
LENGTH_MASK = (1 << LENGTH_BITS) - 1
END_OF_BLOCK = 256
LITERALS, DISTANCES, CODE_LENGTHS = 286, 30, 19  # symbols of the three codes
WINDOW = 1 << 15
STORED, FIXED, DYNAMIC = 0, 1, 2

HLIT, HDIST, HCLEN, CODES, COUNT, OPERATIONS = 0, 1, 2, 3, 22, 23  # places in a block header
HEADER_SIZE = OPERATIONS + LITERALS + DISTANCES
REPEAT, ZEROS, MANY_ZEROS = 16, 17, 18  # code-length symbols

LENGTH_EXTRA = np.array([0] * 8 + [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4 + [0], np.int64)
DISTANCE_EXTRA = np.array([max(0, code // 2 - 1) for code in range(DISTANCES)], np.int64)
LENGTH_BASE = np.array([3, *(3 + np.cumsum(1 << LENGTH_EXTRA)[:27]), 258], np.int64)
DISTANCE_BASE = np.array([1, *(1 + np.cumsum(1 << DISTANCE_EXTRA)[:29])], np.int64)
CODE_LENGTH_EXTRA = np.array([0] * 16 + [2, 3, 7], np.int64)
CODE_LENGTH_ORDER = np.array([16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15], np.int64)
FIXED_LITERALS = np.array([8] * 144 + [9] * 112 + [7] * 24 + [8] * 8, np.int64)
FIXED_DISTANCES = np.full(DISTANCES, 5, np.int64)


def _codes(base: NDArray[np.int64], extra: NDArray[np.int64], end: int) -> NDArray[np.int64]:
    """By value below `end`: the last code whose base isn't above it."""
    codes = np.zeros(end, np.int64)
    for code in range(len(base)):
        codes[base[code] : base[code] + (1 << extra[code])] = code
    return codes


LENGTH_CODE = _codes(LENGTH_BASE, LENGTH_EXTRA, IRREGULAR)
LENGTH_CODE[MAX_MATCH] = 28
DISTANCE_CODE = _codes(DISTANCE_BASE, DISTANCE_EXTRA, WINDOW + 1)
