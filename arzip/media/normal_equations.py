"""Least squares in exact integers: normal equations solved by Cholesky's method, all in fixed point.

Every row and column of the equations is scaled by a power of two, so that the diagonal lies in [2^28, 2^30): then no
number of the factor is above one, and no sum above 2^61. Must not import the predictors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from arzip.jit.compile import njit
from arzip.media.numbers import bit_length, clip, shift, square_root

MAX_ORDER = 32
ONE = 30  # bits of a scaled number's fraction
WEIGHT_BITS = 20
WEIGHT_LIMIT = (1 << 27) - 1
RESULT_LIMIT = 1 << 34
MIN_PIVOT = 1 << 34  # 2^-26


def scratch_arrays(order: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Scratch of one solver: factor (n, n), and scale, inverse and solution (3, n)."""
    return np.zeros((order, order), np.int32), np.zeros((3, order), np.int64)


@njit(_nrt=False)
def solve(moments, order, ridge, factor, scratch, weights):
    """Solve for weights (n,) in Q20 from moments: the rows of the lower triangle of the (n + 1) x (n + 1) matrix of
    products of the n inputs and the target, the target's last.

    ridge: the diagonal grows by its 2^-ridge. An input that was 0 all the time gets the weight 0.
    """
    scale, inverse, solution = scratch[0], scratch[1], scratch[2]
    last = order * (order + 1) // 2
    for i in range(order):
        scale[i] = (bit_length(moments[i * (i + 3) // 2]) - 29) >> 1
    target_scale = (bit_length(moments[last + order]) - 28) >> 1
    for i in range(order):
        row = i * (i + 1) // 2
        for j in range(i):
            total = np.int64(0)
            for k in range(j):
                total += np.int64(factor[i, k]) * np.int64(factor[j, k])
            rest, limit = (shift(moments[row + j], -scale[i] - scale[j]) << ONE) - total, np.int64(factor[j, j]) << 4
            factor[i, j] = (clip(rest >> 26, -limit, limit) * inverse[j]) >> 28
        total = np.int64(0)
        for k in range(i):
            total += np.int64(factor[i, k]) * np.int64(factor[i, k])
        diagonal = shift(moments[row + i], -2 * scale[i])
        diagonal = min(diagonal + (diagonal >> ridge), 1 << ONE) if diagonal > 0 else 1 << (ONE - 1)
        root = square_root(clip((diagonal << ONE) - total, MIN_PIVOT, 1 << (2 * ONE)))
        factor[i, i] = root
        inverse[i] = (1 << 54) // root
        target = shift(moments[last + i], -scale[i] - target_scale)
        total = np.int64(0)
        for k in range(i):
            total += np.int64(factor[i, k]) * solution[k]
        rest, limit = (clip(target, -(1 << ONE), 1 << ONE) << ONE) - total, root << 4
        solution[i] = (clip(rest >> 26, -limit, limit) * inverse[i]) >> 28
    for i in range(order):
        solution[i] <<= WEIGHT_BITS
    for i in range(order - 1, -1, -1):
        limit = np.int64(factor[i, i]) << 7
        weight = (clip(solution[i] >> 20, -limit, limit) * inverse[i]) >> 34
        weight = clip(weight, -WEIGHT_LIMIT, WEIGHT_LIMIT)
        for k in range(i):
            solution[k] -= np.int64(factor[i, k]) * weight
        weights[i] = clip(shift(weight, target_scale - scale[i]), -RESULT_LIMIT, RESULT_LIMIT)


@njit(_nrt=False)
def decay_and_add(moments, inputs, order, rate, gain):
    """moments += products of inputs (n + 1,), the target last, times 2^gain, after they lost their 2^-rate."""
    at = 0
    for i in range(order + 1):
        left = np.int64(inputs[i]) << gain
        for j in range(i + 1):
            moments[at + j] += left * np.int64(inputs[j]) - (moments[at + j] >> rate)
        at += i + 1


@njit(_nrt=False)
def dot(weights, inputs, order):
    """The sum of weights times inputs over the first `order` of them."""
    total = np.int64(0)
    for i in range(order):
        total += weights[i] * np.int64(inputs[i])
    return total
