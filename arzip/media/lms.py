"""Normalised LMS filters over the last samples, in exact integers."""

from __future__ import annotations

import numpy as np

from arzip.jit.compile import njit
from arzip.media.numbers import bit_length, clip, shift

WEIGHT_BITS = 24
WEIGHT_LIMIT = (1 << 30) - 1


@njit(_nrt=False)
def predict(weights, line, end, taps):
    """The sum of weights (taps,) times the `taps` numbers before line[end], in the line's unit."""
    total = np.int64(0)
    start = end - taps
    for i in range(taps):
        total += np.int64(weights[i]) * np.int64(line[start + i])
    return (total + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS


@njit(_nrt=False)
def update(weights, line, end, taps, error, power, rate):
    """Move the weights by 2^-rate of error * input / power; power: the sum of the inputs' squares, plus something."""
    size = bit_length(power)
    gain = error * ((1 << 30) // (shift(power, 15 - size) + 1))  # error / power * 2^(15 + size)
    drop = max(bit_length(abs(gain)) - 24, 0)
    by = size + 15 + rate - WEIGHT_BITS - drop
    if by < 1 or by > 60:
        return
    factor, half, start = np.int32(gain >> drop), np.int64(1) << (by - 1), end - taps
    for i in range(taps):
        step = (np.int64(factor) * np.int64(line[start + i]) + half) >> by
        weights[i] = clip(np.int64(weights[i]) + step, -WEIGHT_LIMIT, WEIGHT_LIMIT)
