"""How docs/FORMAT.md writes numbers: clips, shifts, hashes, the tables squash and stretch. Exact integers only."""

from __future__ import annotations

import math
from bisect import bisect_left

WRAP = (1 << 64) - 1
GOLDEN, SPREAD = 0x9E3779B97F4A7C15, 0xD6E8FEB86659FD93
ONE = 1 << 22  # probabilities are in Q22


def clip(x: int, low: int, high: int) -> int:
    return min(max(x, low), high)


def bitlen(x: int) -> int:
    return x.bit_length()


def hash_pair(a: int, b: int) -> int:
    """'The memory': the hash of two numbers."""
    h = (a + GOLDEN) * SPREAD & WRAP
    h = (h ^ (h >> 29) ^ b) * GOLDEN & WRAP
    return h ^ (h >> 32)


def _squash() -> list[int]:
    return [round(ONE / (1 + math.exp(-x / 256))) for x in range(-3200, 3201)]


SQUASH = _squash()  # squash(x) is SQUASH[x + 3200]


def squash(x: int) -> int:
    return SQUASH[x + 3200]


def _stretch() -> list[int]:
    upper = []
    for p in range(2048, 4096):
        goal = 512 * (2 * p + 1)
        above = bisect_left(SQUASH, goal)  # the first x with squash(x) >= goal
        nearest = above if SQUASH[min(above, 6400)] - goal <= goal - SQUASH[above - 1] else above - 1
        upper.append(min(nearest - 3200, 2047))
    return [-x for x in reversed(upper)] + upper


STRETCH = _stretch()  # of 0 .. 4095


def log8(x: int) -> int:
    """'Sound': 8 times the logarithm to base 2, about."""
    if x < 1:
        return 0
    b = bitlen(x) - 1
    return 8 * b + 8 * x // (1 << b) - 8


def signed(x: int) -> int:
    """A number of 64 bits with its sign: 'Sound', modulo 2^64."""
    return (x + (1 << 63) & WRAP) - (1 << 63)


def shift(x: int, bits: int) -> int:
    """x << bits; also to the right, for bits below 0."""
    return signed(x << bits) if bits >= 0 else x >> min(-bits, 63)
