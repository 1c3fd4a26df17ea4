"""The network's weights of the 256 values -> its probabilities of the bits of a byte, most significant first."""

from __future__ import annotations

import numpy as np

from arzip.jit.compile import njit
from arzip.probability import P_BITS, P_ONE


@njit(_nrt=False)
def weight_sum(weights, lane, low, size):
    """Sum of weights[lane, low : low + size], which fits an int32."""
    total = np.int32(0)
    for symbol in range(low, low + size):
        total = np.int32(total + weights[lane, symbol])
    return np.int64(total)


@njit(_nrt=False)
def chance(upper, total):
    """P(bit = 1) in Q22 of a bit on which `upper` of `total`, the weights that are still possible, say 1."""
    p = (upper << P_BITS) // total
    return min(max(p, 1), P_ONE - 1)


@njit(_nrt=False)
def chances(weights, lane, byte, out):
    """P(bit = 1) of each bit of a byte that is known -> out (8,) int32."""
    low, total = np.int64(0), weight_sum(weights, lane, np.int64(0), np.int64(256))
    for bit in range(8):
        half = np.int64(128 >> bit)
        upper = weight_sum(weights, lane, low + half, half)
        out[bit] = chance(upper, total)
        if byte >> (7 - bit) & 1:
            low += half
            total = upper
        else:
            total -= upper
