"""Probabilities of the two halves of an interval, under a symmetric distribution with heavy tails.

The table of its distribution function is made of integers alone. Must not import the predictors.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import inline_njit
from arzip.media.numbers import clip

STEP_BITS = 4  # entries a unit of scale: 16
REACH = 40  # units of scale on each side
CDF_BITS = 48
LIMIT = REACH << 12  # Q12


@lru_cache(maxsize=1)
def table() -> NDArray[np.int64]:
    """Entry REACH * 16 + i: F(i / 16) in Q48, F = 7/8 logistic(x) + 1/8 logistic(x / 3), rounded down."""
    one = 1 << 200

    def exponential(numerator: int, denominator: int) -> int:
        total, term, k = one, one, 1
        while term:
            term = term * numerator // (denominator * k)
            total += term
            k += 1
        return total

    entries = (REACH << STEP_BITS) + 1
    half = []
    for i in range(entries):
        below = [one * one // (one + exponential(i, d)) for d in (16, 48)]  # 1 / (1 + e^(i / 16)), ..
        half.append((7 * below[0] + below[1]) >> (203 - CDF_BITS))
    lower = np.array(half[:0:-1], np.int64)
    return np.concatenate([lower, (1 << CDF_BITS) - np.array(half, np.int64)])


@inline_njit
def below(cdf, distance):
    """F(distance) in Q48, of a distance from the centre in Q12 scales within LIMIT, by linear interpolation."""
    at = (distance + LIMIT) >> (12 - STEP_BITS)
    if at >= cdf.size - 1:
        return cdf[cdf.size - 1]
    part = (distance + LIMIT) & ((1 << (12 - STEP_BITS)) - 1)
    return cdf[at] + (((cdf[at + 1] - cdf[at]) * part) >> (12 - STEP_BITS))


@inline_njit
def distance(edge, centre, inverse):
    """How far an edge (a whole number) lies above a centre in Q8, in Q12 scales; inverse: 2^32 / (scale in Q8)."""
    return clip((((edge << 8) - centre) * inverse) >> 20, -LIMIT, LIMIT)


@inline_njit
def split(cdf, low, middle, high):
    """What lies between middle and high, and between low and high: both in Q48, exact in either tail."""
    if low + high > 0:
        low, middle, high = -high, -middle, -low
        bottom, centre, top = below(cdf, low), below(cdf, middle), below(cdf, high)
        return centre - bottom, top - bottom
    bottom, centre, top = below(cdf, low), below(cdf, middle), below(cdf, high)
    return top - centre, top - bottom
