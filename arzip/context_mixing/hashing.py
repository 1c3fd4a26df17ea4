"""The hash of two numbers, and the multipliers that all hashes of this package use."""

from __future__ import annotations

from numpy import uint64

from arzip.jit.compile import njit

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: Knuth's multiplicative hashing
SPREAD = 0xD6E8FEB86659FD93


@njit(forceinline=True, _nrt=False)
def hash_pair(a, b):
    """Hash two integers, modulo 2**64, to a uint64."""
    h = (uint64(a) + uint64(GOLDEN)) * uint64(SPREAD)
    h = (h ^ (h >> uint64(29)) ^ uint64(b)) * uint64(GOLDEN)
    return h ^ (h >> uint64(32))
