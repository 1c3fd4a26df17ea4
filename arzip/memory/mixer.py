"""Gated logistic mixing in fixed point: one layer of weight sets chosen by small contexts, one mixer over them.

After Mahoney's PAQ mixers. Inputs are logits in Q8 (int32, |x| <= 2047), weights int32 in Q20; a
product is rounded to Q14 (floor) before it is added. Gradients of the lanes are added, over the square root of
their number.
"""

from __future__ import annotations

import numpy as np

from arzip.compiled import njit
from arzip.memory.spec import WEIGHT_LIMIT
from arzip.memory.tables import LOGIT_LIMIT, OUTPUT_LIMIT

GRADIENT_BITS = 18  # rates are in 1 / 16


@njit(forceinline=True, _nrt=False)
def dot(weights, row, inputs, lane):  # type: ignore[no-untyped-def]
    """Sum of products of weights[row] and inputs[lane], a logit in Q8."""
    total = np.int32(0)
    for i in range(inputs.shape[1]):
        w = np.int32(weights[row, i] >> 4)
        total = np.int32(total + np.int32(np.int32(w * inputs[lane, i]) >> 10))
    return (np.int64(total) + 32) >> 6


@njit(forceinline=True, _nrt=False)
def train(weights, row, inputs, lane, error):  # type: ignore[no-untyped-def]
    """Add one lane's gradient to weights[row]: inputs[lane] x error, |error| < 2**19."""
    e = np.int32(error)
    for i in range(inputs.shape[1]):
        change = np.int32(np.int32(np.int32(inputs[lane, i] * e) + np.int32(1 << 11)) >> 12)
        weights[row, i] = np.int32(weights[row, i] + change)


@njit(forceinline=True, _nrt=False)
def clamp(weights, row):  # type: ignore[no-untyped-def]
    """Bring weights[row] back into range, after all lanes' gradients."""
    for i in range(weights.shape[1]):
        weights[row, i] = min(max(weights[row, i], np.int32(-WEIGHT_LIMIT)), np.int32(WEIGHT_LIMIT))


@njit(forceinline=True, _nrt=False)
def clip(x, limit):  # type: ignore[no-untyped-def]
    """x within +-limit."""
    return min(max(x, -limit), limit)


assert LOGIT_LIMIT * (WEIGHT_LIMIT >> 4) < 2**31 and OUTPUT_LIMIT < 2**12
