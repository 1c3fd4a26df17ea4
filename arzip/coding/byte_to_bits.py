"""Frequencies of the 256 byte values -> P(bit = 1) of the bits of a byte, most significant first."""

from __future__ import annotations

import numpy as np

from arzip.jit.compile import njit
from arzip.probability import P_BITS, P_ONE


@njit(_nrt=False)
def freq_sum(freqs, lane, low, size):
    """Sum of freqs[lane, low : low + size], which fits an int32."""
    total = np.int32(0)
    for symbol in range(low, low + size):
        total = np.int32(total + freqs[lane, symbol])
    return np.int64(total)


@njit(_nrt=False)
def bit_probability(upper, total):
    """P(bit = 1) in Q22. total: sum of the frequencies still possible; upper: of those whose next bit is 1."""
    p = (upper << P_BITS) // total
    return min(max(p, 1), P_ONE - 1)


@njit(_nrt=False)
def bit_probabilities(freqs, lane, byte, out):
    """P(bit = 1) of each bit of a byte that is known -> out (8,) int32."""
    low, total = np.int64(0), freq_sum(freqs, lane, np.int64(0), np.int64(256))
    for bit in range(8):
        half = np.int64(128 >> bit)
        upper = freq_sum(freqs, lane, low + half, half)
        out[bit] = bit_probability(upper, total)
        if byte >> (7 - bit) & 1:
            low += half
            total = upper
        else:
            total -= upper
