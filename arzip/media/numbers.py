"""Integer helpers that the kernels of pictures and sound share. All shifts of negative numbers round down."""

from __future__ import annotations

import math

from arzip.jit.compile import inline_njit


@inline_njit
def clip(value, low, high):
    """`value`, brought into [low, high]."""
    return min(max(value, low), high)


@inline_njit
def bit_length(value):
    """How many bits a number of at least 0 has."""
    bits = 0
    if value >= 1 << 32:
        value >>= 32
        bits = 32
    if value >= 1 << 16:
        value >>= 16
        bits += 16
    if value >= 1 << 8:
        value >>= 8
        bits += 8
    if value >= 1 << 4:
        value >>= 4
        bits += 4
    if value >= 1 << 2:
        value >>= 2
        bits += 2
    if value >= 2:
        value >>= 1
        bits += 1
    return bits + value


@inline_njit
def log2_eighths(value):
    """8 log2(value), with its fraction taken as linear, rounded down; 0 for numbers below 1."""
    if value < 1:
        return 0
    bits = bit_length(value) - 1
    fraction = (value << 3 >> bits) if bits < 60 else value >> (bits - 3)
    return 8 * bits + (fraction - 8)


@inline_njit
def square_root(value):
    """The square root of 0 <= value < 2^62, rounded down; the float is a first guess only."""
    root = int(math.sqrt(value))
    while root * root > value:
        root -= 1
    while (root + 1) * (root + 1) <= value:
        root += 1
    return root


@inline_njit
def shift(value, bits):
    """value * 2^bits, rounded down."""
    return value << bits if bits >= 0 else value >> min(-bits, 63)
